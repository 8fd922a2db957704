// Package servers starts real storage servers for tests: S3 by versitygw, Azure
// Blob Storage by azurite, Google Cloud Storage by fake-gcs-server.
//
//	s := servers.S3(t, servers.ObjectLock())
//	be, err := storage.OpenWith(ctx, s.URL("prefix"), ...)
//
// Each server has a free loopback port, a directory of its own below TMPDIR, and a bucket or
// container that was made; it is gone when the test is. As many as one likes may
// run at once. [Process.Stop] and [Process.Start] take one down and bring it back with
// its objects, at the same address.
//
// "make tools" and .ci/packages put the programs where they are looked for: bin/
// of the repository, and tools/azurite. versitygw keeps what S3 knows of an object in
// extended attributes, which the file system of TMPDIR must have; any user will do.
package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mahavishnu/clock"
	"mahavishnu/lab/process"
)

// patience is how long a server may take to answer first, or to end: longer than any
// machine needs, since only a broken test waits for it.
const patience = time.Minute

// keptOutput is how much is kept of what a server prints, in bytes.
const keptOutput = 64 << 10

// Process is a server's process.
type Process struct {
	t       testing.TB
	address string
	command func() *exec.Cmd
	output  *process.Output

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
}

// begin starts a server on a free port and waits until it answers. command makes
// its command line for an address. Between the moment a port is found free and that in which
// the server takes it another program may be quicker; then the next is tried.
func begin(t testing.TB, command func(address string) *exec.Cmd) *Process {
	t.Helper()
	var last error
	for range 5 {
		address, err := freePort(t.Context())
		if err != nil {
			t.Fatalf("find a free port: %v", err)
		}
		p := &Process{t: t, address: address, output: &process.Output{Max: keptOutput}, command: func() *exec.Cmd { return command(address) }}
		if last = p.start(); last == nil {
			t.Cleanup(p.Stop)
			return p
		}
		if !strings.Contains(strings.ToLower(p.output.String()), "in use") {
			break
		}
	}
	t.Fatalf("%v", last)
	return nil
}

func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Address returns the server's host and port.
func (p *Process) Address() string { return p.address }

// Endpoint returns the server's URL, without a path.
func (p *Process) Endpoint() string { return "http://" + p.address }

// Start brings a stopped server back at the same address, with what it kept.
func (p *Process) Start() {
	p.t.Helper()
	if err := p.start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return nil
	}
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = p.output, p.output
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // that it ended is what counts; its output says why
		close(exited)
	}()
	p.cmd, p.exited = cmd, exited
	if err := p.answers(exited); err != nil {
		p.end()
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, p.output.String())
	}
	return nil
}

// answers waits until the server speaks HTTP.
func (p *Process) answers(exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Endpoint()+"/", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		select {
		case <-exited:
			return errors.New("ended instead of serving")
		default:
		}
		if err == nil {
			return nil
		}
		if serr := clock.System().Sleep(ctx, 20*time.Millisecond); serr != nil {
			return fmt.Errorf("no answer in %v: %w", patience, err)
		}
	}
}

// Stop ends the server, which gets the time to write down what it keeps. Its
// objects stay until the test ends.
func (p *Process) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
}

// end ends the process that this one started, and no other. The caller holds mu.
func (p *Process) end() {
	if p.cmd == nil {
		return
	}
	askToEnd(p.cmd.Process)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-p.exited:
	case <-ctx.Done():
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	p.cmd = nil
}

// program finds a test server that "make tools" builds.
func program(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := filepath.Join(repository(t), "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the test server %s is not there (%v): run `make tools` in the root of the repository", name, err)
	}
	return path
}

// repository returns the root of the source tree, in or below which tests run.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for from := dir; ; {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte("module mahavishnu\n")) {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatalf("%s is not below the root of the repository, where the test servers are", from)
		}
		dir = parent
	}
}

// directory returns a new directory for what a server keeps.
func directory(t testing.TB, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{t.TempDir()}, parts...)...)
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// call makes one request that sets a server up, and fails the test unless it is
// answered with success.
func call(t testing.TB, req *http.Request) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		var text bytes.Buffer
		_, _ = text.ReadFrom(resp.Body)
		t.Fatalf("%s %s: %s\n%s", req.Method, req.URL.Path, resp.Status, text.String())
	}
}
