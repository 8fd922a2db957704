// Package upload measures backups into object stores, beside `rclone copy` of the
// same tree: wall and processor time, peak memory, and requests.
//
// Each measurement has a server to itself, freshly started on an empty directory of
// this machine: S3 by versitygw, Azure Blob Storage by azurite, Google Cloud Storage
// by fake-gcs-server. Requests are counted in the server's own log, which is the same
// for all programs and costs them nothing. Server and program share the machine, so a
// rate says how they do together: compare the programs, not the servers.
package upload

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mahavishnu/clock"
	"mahavishnu/fault"
	"mahavishnu/loadtest/corpus"
	"mahavishnu/loadtest/process"
)

// Options say what [Run] measures.
type Options struct {
	// Stores are the kinds of object stores, of those that [Stores] lists.
	Stores []string
	// Tree is what is uploaded.
	Tree corpus.Spec
	// Runs is how often everything is done. The order of the programs changes from run
	// to run.
	Runs int
	// Program is the binary under test, and Rclone that of rclone; "" leaves rclone out.
	Program, Rclone string
	// Tools are directories in which servers are looked for, after those of PATH.
	Tools []string
	// Dir holds everything. It must not exist or be empty, and is removed afterwards
	// unless Keep is set.
	Dir  string
	Keep bool
	// Runner starts the programs.
	Runner process.Runner
	// Progress hears what begins. It may be nil.
	Progress func(what string)
}

// Measure is one upload.
type Measure struct {
	Store   string `json:"store"`
	Program string `json:"program"`
	Run     int    `json:"run"` // from 0
	process.Usage
	// Requests are how many the server answered, by what they did.
	Requests map[string]int `json:"requests"`
	// Stored is what the server has on its disk afterwards, in bytes.
	Stored int64 `json:"stored"`
}

// Total is the number of all requests.
func (m Measure) Total() int {
	total := 0
	for _, n := range m.Requests {
		total += n
	}
	return total
}

// Report is the outcome of [Run].
type Report struct {
	Tree     corpus.Spec `json:"tree"`
	Bytes    int64       `json:"bytes"`
	When     time.Time   `json:"when"`
	Measured []Measure   `json:"measured"`
}

// PerGB returns how many requests 10^9 bytes of the tree took.
func (r Report) PerGB(m Measure) float64 {
	if r.Bytes == 0 {
		return 0
	}
	return float64(m.Total()) / (float64(r.Bytes) / 1e9)
}

// bench is what all measurements of a run have in common.
type bench struct {
	o     Options
	tree  string
	clock clock.Clock
}

// Run makes the tree, and has every program upload it to every kind of store. What was
// measured before an error is returned with it.
func Run(ctx context.Context, o Options) (report Report, err error) {
	const op = "measure uploads"
	b := &bench{o: o, tree: filepath.Join(o.Dir, "tree"), clock: clock.Or(o.Runner.Clock)}
	report = Report{Tree: o.Tree, When: b.clock.Now().UTC()}
	stores, err := choose(o.Stores)
	if err != nil {
		return report, err
	}
	if o.Runs < 1 {
		return report, fault.New(op, o.Dir, errors.New("nothing to do"), "ask for one run at least")
	}
	for i := range stores {
		if stores[i].path, err = find(stores[i].program, o.Tools); err != nil {
			return report, err
		}
	}
	if !o.Keep {
		defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	}
	b.say("make the tree")
	if report.Bytes, err = corpus.Write(ctx, b.tree, o.Tree); err != nil {
		return report, err
	}
	for run := range o.Runs {
		for _, s := range stores {
			programs := b.programs(s)
			if run%2 == 1 {
				slices.Reverse(programs)
			}
			for _, p := range programs {
				b.say(s.name + ": " + p.name)
				m, err := b.measure(ctx, s, p)
				if err != nil {
					return report, fault.New(op, s.name+" by "+p.name, err, "")
				}
				m.Store, m.Program, m.Run = s.name, p.name, run
				report.Measured = append(report.Measured, m)
			}
		}
	}
	return report, nil
}

func (b *bench) say(what string) {
	if b.o.Progress != nil {
		b.o.Progress(what)
	}
}

// measure has one program upload the tree to a server of its own.
func (b *bench) measure(ctx context.Context, s store, p program) (m Measure, err error) {
	dir := filepath.Join(b.o.Dir, "run")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	srv, err := b.start(ctx, s, dir)
	if err != nil {
		return m, err
	}
	defer srv.stop()
	for path, text := range p.files {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
			return m, err
		}
	}
	upload, prepare := p.commands(srv, dir)
	for _, c := range prepare {
		if _, _, err := b.o.Runner.Run(ctx, c); err != nil {
			return m, err
		}
	}
	before, err := srv.requests()
	if err != nil {
		return m, err
	}
	upload.Sync = srv.data
	if m.Usage, _, err = b.o.Runner.Run(ctx, upload); err != nil {
		return m, err
	}
	if m.Requests, err = srv.requests(); err != nil {
		return m, err
	}
	for what, n := range before {
		if m.Requests[what] -= n; m.Requests[what] == 0 {
			delete(m.Requests, what)
		}
	}
	size, err := corpus.Measure(srv.data)
	m.Stored = size.Bytes
	return m, err
}
