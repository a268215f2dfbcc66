// client_golang, used as in its documentation: gauges with labels, promhttp.
package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func newHandler(in input) http.Handler {
	registry := prometheus.NewRegistry()
	vecs := map[string]*prometheus.GaugeVec{}
	setGauges(in, func(name string, value float64, labels ...string) {
		values := prometheus.Labels{}
		names := []string{}
		for at := 0; at < len(labels); at += 2 {
			names = append(names, labels[at])
			values[labels[at]] = labels[at+1]
		}
		vec, known := vecs[name]
		if !known {
			vec = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: name + "."}, names)
			registry.MustRegister(vec)
			vecs[name] = vec
		}
		vec.With(values).Set(value)
	})
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "rm_job_duration_seconds",
		Help:    "Durations of finished jobs.",
		Buckets: in.Buckets,
	}, []string{"kind", "status"})
	registry.MustRegister(durations)
	for _, j := range in.Jobs {
		durations.WithLabelValues(j.Kind, j.Status).Observe(j.Ms / 1000)
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}
