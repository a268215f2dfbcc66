// Code that all Go peers share: they read the fleet from standard input, serve /metrics, and render on demand.
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
		FinishedAtMs float64  `json:"finishedAtMs"`
		Succeeded    bool     `json:"succeeded"`
		DurationMs   *float64 `json:"durationMs"`
	} `json:"lastBackup"`
	LastBackupSuccessMs   *float64           `json:"lastBackupSuccessMs"`
	LastBackupAddedBytes  *float64           `json:"lastBackupAddedBytes"`
	LastCheckSuccessMs    *float64           `json:"lastCheckSuccessMs"`
	BackupIntervalSeconds *float64           `json:"backupIntervalSeconds"`
	RepoSizeBytes         *float64           `json:"repoSizeBytes"`
	RepoStatus            string             `json:"repoStatus"`
	SnapshotCount         float64            `json:"snapshotCount"`
	OpenAlerts            map[string]float64 `json:"openAlerts"`
	AgentVersion          string             `json:"agentVersion"`
	ResticVersion         string             `json:"resticVersion"`
	OS                    string             `json:"os"`
	Arch                  string             `json:"arch"`
}

type job struct {
	Kind   string  `json:"kind"`
	Status string  `json:"status"`
	Ms     float64 `json:"ms"`
}

// Sets a gauge. The labels come in pairs of a name and a value.
type setGauge func(name string, value float64, labels ...string)

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
	handler := newHandler(in)
	in = input{}
	debug.FreeOSMemory() // frees the garbage from loading the input

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
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

func setGauges(in input, set setGauge) {
	for _, severity := range []string{"critical", "info", "warning"} {
		set("rm_active_alerts", in.Totals[severity], "severity", severity)
	}
	build := []string{"version", in.Build["version"], "commit", in.Build["commit"], "node_version", in.Build["node_version"]}
	set("rm_build_info", 1, build...)
	set("rm_hosts_online", in.Totals["online"])
	set("rm_hosts_pending", 0)
	set("rm_hosts_total", in.Totals["hosts"])
	for _, h := range in.Hosts {
		labels := []string{"host_id", h.HostID, "host", h.Host}
		known := func(name string, value *float64, unit float64) {
			if value != nil {
				set(name, *value/unit, labels...)
			}
		}
		set("rm_host_agent_online", oneIf(h.Online), labels...)
		known("rm_host_backup_interval_seconds", h.BackupIntervalSeconds, 1)
		runs := []string{"agent_version", h.AgentVersion, "restic_version", h.ResticVersion, "os", h.OS, "arch", h.Arch}
		set("rm_host_info", 1, append(append([]string{}, labels...), runs...)...)
		known("rm_host_last_backup_added_bytes", h.LastBackupAddedBytes, 1)
		if h.LastBackup != nil {
			known("rm_host_last_backup_duration_seconds", h.LastBackup.DurationMs, 1000)
			set("rm_host_last_backup_success", oneIf(h.LastBackup.Succeeded), labels...)
			set("rm_host_last_backup_timestamp_seconds", h.LastBackup.FinishedAtMs/1000, labels...)
		}
		known("rm_host_last_backup_success_timestamp_seconds", h.LastBackupSuccessMs, 1000)
		known("rm_host_last_check_success_timestamp_seconds", h.LastCheckSuccessMs, 1000)
		open := h.OpenAlerts["critical"] + h.OpenAlerts["info"] + h.OpenAlerts["warning"]
		set("rm_host_open_alerts", open, labels...)
		known("rm_host_repo_size_bytes", h.RepoSizeBytes, 1)
		set("rm_host_repo_status", 1, append(append([]string{}, labels...), "status", h.RepoStatus)...)
		set("rm_host_snapshot_count", h.SnapshotCount, labels...)
	}
}

func oneIf(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}
