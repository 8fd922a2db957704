package upload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"mahavishnu/fault"
)

// patience is how long a server may take to answer first, and to end.
const patience = 30 * time.Second

// server is a running object store.
type server struct {
	address string
	data    string // the directory of its objects
	log     string // the file that has a line for each request
	end     context.CancelFunc
	ended   chan struct{}
}

// endpoint is the server's URL, without a path.
func (s *server) endpoint() string { return "http://" + s.address }

// start starts a server on an empty directory and waits until it answers.
func (b *bench) start(ctx context.Context, s store, dir string) (*server, error) {
	srv := &server{data: filepath.Join(dir, "data"), log: filepath.Join(dir, "requests.log"), ended: make(chan struct{})}
	// A bucket is a directory, for the two kinds that have no other way to begin with one.
	if err := os.MkdirAll(filepath.Join(srv.data, s.folder), 0o755); err != nil {
		return nil, err
	}
	var err error
	if srv.address, err = freePort(ctx); err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(dir, "output.log"))
	if err != nil {
		return nil, err
	}
	ctx, srv.end = context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, s.path, s.args(srv)...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error {
		if runtime.GOOS == "windows" {
			return cmd.Process.Kill()
		}
		return cmd.Process.Signal(os.Interrupt)
	}
	cmd.WaitDelay = patience
	if s.logsToOutput {
		srv.log = out.Name()
	}
	if err := cmd.Start(); err != nil {
		srv.end()
		return nil, errors.Join(fault.New("start", s.path, err, ""), out.Close())
	}
	go func() {
		_ = cmd.Wait() // that it ended is what counts; its output says why
		_ = out.Close()
		close(srv.ended)
	}()
	err = b.answers(ctx, srv)
	if err == nil && s.setUp != nil {
		err = s.setUp(ctx, srv)
	}
	if err != nil {
		srv.stop()
		text, _ := os.ReadFile(out.Name())
		return nil, fault.New("start", s.path, fmt.Errorf("%w\n%.2000s", err, text), "")
	}
	return srv, nil
}

// answers waits until the server takes connections.
func (b *bench) answers(ctx context.Context, srv *server) error {
	until := b.clock.Now().Add(patience)
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", srv.address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-srv.ended:
			return errors.New("it ended instead of serving")
		default:
		}
		if b.clock.Now().After(until) {
			return fmt.Errorf("no answer in %v: %w", patience, err)
		}
		if err := b.clock.Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// stop ends the server.
func (s *server) stop() {
	s.end()
	<-s.ended
}

// request finds what a line of a server's log says of a request: the operation where
// the server names it, else the method.
var request = regexp.MustCompile(`(?m)(?: s3_([A-Za-z0-9]+) |"([A-Z]+) /\S* HTTP/)`)

// requests counts the requests that were answered so far.
func (s *server) requests() (map[string]int, error) {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, found := range request.FindAllSubmatch(text, -1) {
		counts[string(found[1])+string(found[2])]++
	}
	return counts, nil
}

func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// find returns the path of a program.
func find(name string, dirs []string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", fault.New("find", name, errors.New("the program is not there"), "run `make tools`, or put it on PATH")
}
