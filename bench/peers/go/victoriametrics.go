// VictoriaMetrics/metrics, used as in its documentation: a metric for each series, its labels in its name.
package main

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metrics"
)

func newHandler(in input) http.Handler {
	set := metrics.NewSet()
	setGauges(in, func(name string, value float64, labels ...string) {
		set.NewGauge(seriesName(name, labels), func() float64 { return value })
	})
	// Its own histograms do not use the buckets of Prometheus, so the rows are counters.
	for _, j := range in.Jobs {
		seconds := j.Ms / 1000
		labels := []string{"kind", j.Kind, "status", j.Status}
		row := func(suffix string, more ...string) string {
			return seriesName("rm_job_duration_seconds"+suffix, append(append([]string{}, labels...), more...))
		}
		for _, bound := range append(in.Buckets, 1e300) {
			le := "+Inf"
			if bound < 1e300 {
				le = strconv.FormatFloat(bound, 'f', -1, 64)
			}
			counter := set.GetOrCreateCounter(row("_bucket", "le", le))
			if seconds <= bound {
				counter.Inc()
			}
		}
		set.GetOrCreateFloatCounter(row("_sum")).Add(seconds)
		set.GetOrCreateCounter(row("_count")).Inc()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			set.WritePrometheus(w)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		compressor, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
		set.WritePrometheus(compressor)
		compressor.Close()
	})
}

func seriesName(name string, labels []string) string {
	if len(labels) == 0 {
		return name
	}
	pairs := []string{}
	for at := 0; at < len(labels); at += 2 {
		pairs = append(pairs, fmt.Sprintf("%s=%s", labels[at], quoted(labels[at+1])))
	}
	return name + "{" + strings.Join(pairs, ",") + "}"
}

func quoted(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}
