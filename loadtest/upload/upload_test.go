package upload

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mahavishnu/lab/process"
	"mahavishnu/loadtest/corpus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tools are where `make tools` puts the servers.
func tools(t *testing.T) []string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return []string{filepath.Join(root, "bin"), filepath.Join(root, "tools", "azurite", "node_modules", ".bin")}
}

func build(t *testing.T) string {
	t.Helper()
	path, err := process.Build(t.Context(), ".", "mahavishnu/cmd/mahavishnu", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Every kind of store is started, filled, counted and gone again.
func TestRunMeasuresEveryStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "work")
	var said []string
	report, err := Run(t.Context(), Options{
		Stores: Stores(), Tree: corpus.Spec{Kind: corpus.Incompressible, Files: 3, FileSize: 1 << 20}, Runs: 1,
		Program: build(t), Tools: tools(t), Dir: dir, Progress: func(what string) { said = append(said, what) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Measured) != len(Stores()) || len(said) != len(Stores())+1 {
		t.Fatalf("measured %d of %d stores; told of %q", len(report.Measured), len(Stores()), said)
	}
	for i, m := range report.Measured {
		// Sealed and packed, the tree takes about as much; each pack, index and snapshot
		// takes a request or two.
		if m.Store != Stores()[i] || m.Wall <= 0 || m.CPU() <= 0 || m.Stored < 3<<20 || m.Total() < 10 || m.Total() > 1000 {
			t.Errorf("not measured well: %+v", m)
		}
		if got := report.PerGB(m); got < float64(m.Total()) {
			t.Errorf("%d requests for %d bytes are %v a GB", m.Total(), report.Bytes, got)
		}
	}
	if n := report.Measured[0].Requests["PutObject"]; n < 5 {
		t.Errorf("%d objects were put to S3: %v", n, report.Measured[0].Requests)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
}

// The logs of all servers are understood, and lines that are no requests are not counted.
func TestRequestsAreCounted(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	lines := []string{
		"log starts 2026-01-02 03:04:05 +0000 UTC",
		"- backups [2/January/2026:03:04:05 +0000] 127.0.0.1 ak TAIGM s3_HeadObject p /backups/p 404 NoSuchKey 0 0 0 0 - x - AuthHeader",
		"ak backups [2/January/2026:03:04:05 +0000] 127.0.0.1 ak YC9DB s3_PutObject p/a /backups/p/a 200 - 0 9 1 1 - x - AuthHeader",
		"Azurite Blob service is starting on 127.0.0.1:1",
		`127.0.0.1 - - [02/Jan/2026:03:04:05 +0000] "PUT /devstoreaccount1/backups/a?comp=block&sig=x HTTP/1.1" 201 -`,
		`time=2026-01-02T03:04:05.6Z level=INFO msg="server started at http://127.0.0.1:1"`,
		`time=2026-01-02T03:04:05.6Z level=INFO msg="127.0.0.1 - - [02/Jan/2026:03:04:05 +0000] \"POST /upload/storage/v1/b/backups/o?name=a HTTP/1.1\" 200 9\n"`,
	}
	if err := os.WriteFile(log, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := (&server{log: log}).requests()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"HeadObject": 1, "PutObject": 1, "PUT": 1, "POST": 1}, got); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

func TestWhatCannotBeMeasured(t *testing.T) {
	good := Options{
		Stores: []string{"s3"}, Tree: corpus.Spec{Kind: corpus.Small, Files: 1, FileSize: 10}, Runs: 1,
		Program: "/nonexistent/mahavishnu", Tools: tools(t), Dir: filepath.Join(t.TempDir(), "work"),
	}
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no stores":     {func(o *Options) { o.Stores = nil }, "no kind of store is named"},
		"unknown store": {func(o *Options) { o.Stores = []string{"tape"} }, `"tape"`},
		"no runs":       {func(o *Options) { o.Runs = 0 }, "nothing to do"},
		"no program":    {func(*Options) {}, "/nonexistent/mahavishnu"},
	} {
		o := good
		c.change(&o)
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
