// Shows the fleet with client_golang, used as in its documentation: gauges with labels, promhttp.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type input struct {
	Build   map[string]string  `json:"build"`
	Buckets []float64          `json:"buckets"`
	Totals  map[string]float64 `json:"totals"`
	Hosts   []host             `json:"hosts"`
	Jobs    []job              `json:"jobs"`
}

type host struct {
	HostID     string `json:"hostId"`
	Host       string `json:"host"`
	Online     bool   `json:"online"`
	LastBackup *struct {
		FinishedAtMs float64 `json:"finishedAtMs"`
		Succeeded    bool    `json:"succeeded"`
	} `json:"lastBackup"`
	RepoSizeBytes *float64           `json:"repoSizeBytes"`
	RepoStatus    string             `json:"repoStatus"`
	SnapshotCount float64            `json:"snapshotCount"`
	OpenAlerts    map[string]float64 `json:"openAlerts"`
}

type job struct {
	Kind   string  `json:"kind"`
	Status string  `json:"status"`
	Ms     float64 `json:"ms"`
}

func main() {
	// Standard input stays open. If it closes, the bench has ended.
	stdin := bufio.NewReaderSize(os.Stdin, 1<<20)
	line, err := stdin.ReadBytes('\n')
	if err != nil {
		log.Fatal(err)
	}
	var in input
	if err := json.Unmarshal(line, &in); err != nil {
		log.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	fill(registry, in)
	in = input{}
	debug.FreeOSMemory() // of loading the input

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	go renderOnDemand(stdin, handler)
	http.Handle("/metrics", handler)
	log.Fatal(http.Serve(listener, nil))
}

// Renders one body for each line, which names the encoding, and answers with the duration in nanoseconds.
func renderOnDemand(stdin *bufio.Reader, handler http.Handler) {
	for {
		encoding, err := stdin.ReadString('\n')
		if err != nil {
			os.Exit(0)
		}
		request, err := http.NewRequest("GET", "/metrics", nil)
		if err != nil {
			log.Fatal(err)
		}
		request.Header.Set("Accept-Encoding", strings.TrimSpace(encoding))
		startedAt := time.Now()
		handler.ServeHTTP(&discard{header: http.Header{}}, request)
		fmt.Println(time.Since(startedAt).Nanoseconds())
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header           { return d.header }
func (d *discard) Write(body []byte) (int, error) { return len(body), nil }
func (d *discard) WriteHeader(int)               {}

func fill(registry *prometheus.Registry, in input) {
	gauge := func(name string, labels ...string) *prometheus.GaugeVec {
		vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: name + "."}, labels)
		registry.MustRegister(vec)
		return vec
	}
	alerts := gauge("rm_active_alerts", "severity")
	for _, severity := range []string{"critical", "info", "warning"} {
		alerts.WithLabelValues(severity).Set(in.Totals[severity])
	}
	gauge("rm_build_info", "version", "commit", "node_version").With(in.Build).Set(1)
	gauge("rm_hosts_online").WithLabelValues().Set(in.Totals["online"])
	gauge("rm_hosts_total").WithLabelValues().Set(in.Totals["hosts"])

	online := gauge("rm_host_agent_online", "host_id", "host")
	success := gauge("rm_host_last_backup_success", "host_id", "host")
	timestamp := gauge("rm_host_last_backup_timestamp_seconds", "host_id", "host")
	openAlerts := gauge("rm_host_open_alerts", "host_id", "host")
	size := gauge("rm_host_repo_size_bytes", "host_id", "host")
	status := gauge("rm_host_repo_status", "host_id", "host", "status")
	snapshots := gauge("rm_host_snapshot_count", "host_id", "host")
	for _, h := range in.Hosts {
		online.WithLabelValues(h.HostID, h.Host).Set(oneIf(h.Online))
		if h.LastBackup != nil {
			success.WithLabelValues(h.HostID, h.Host).Set(oneIf(h.LastBackup.Succeeded))
			timestamp.WithLabelValues(h.HostID, h.Host).Set(h.LastBackup.FinishedAtMs / 1000)
		}
		open := h.OpenAlerts["critical"] + h.OpenAlerts["info"] + h.OpenAlerts["warning"]
		openAlerts.WithLabelValues(h.HostID, h.Host).Set(open)
		if h.RepoSizeBytes != nil {
			size.WithLabelValues(h.HostID, h.Host).Set(*h.RepoSizeBytes)
		}
		status.WithLabelValues(h.HostID, h.Host, h.RepoStatus).Set(1)
		snapshots.WithLabelValues(h.HostID, h.Host).Set(h.SnapshotCount)
	}

	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "rm_job_duration_seconds",
		Help:    "Durations of finished jobs.",
		Buckets: in.Buckets,
	}, []string{"kind", "status"})
	registry.MustRegister(durations)
	for _, j := range in.Jobs {
		durations.WithLabelValues(j.Kind, j.Status).Observe(j.Ms / 1000)
	}
}

func oneIf(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}
