//go:build linux

package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// agent controls the member of one machine, as an init system would: it starts and
// kills the member's process as it is told through HTTP. It is never at fault itself;
// what it knows is what a disk would keep.
type agent struct {
	name, log string
	server    *httptest.Server

	mu sync.Mutex
	// epoch is the highest that was seen; nothing of a tenure up to fenced becomes
	// writable any more.
	epoch, fenced uint64
	s             *service
	slow          time.Duration
	orders        []order
}

// order is what an agent was told, and what it said.
type order struct {
	verb     string
	epoch    uint64
	refused  bool
	from, to int64
}

func newAgent(t *testing.T, dir, name string) *agent {
	t.Helper()
	a := &agent{name: name, log: filepath.Join(dir, name+".writes")}
	a.server = httptest.NewServer(a)
	t.Cleanup(func() {
		a.server.Close()
		a.crash()
	})
	return a
}

// errStale is what becomes of orders of tenures that are over.
var errStale = errors.New("a higher epoch was seen, or this one was fenced")

// accept judges the epoch of an order, and writes it down. The lock is held.
func (a *agent) accept(verb string, epoch uint64, from int64) error {
	o := order{verb: verb, epoch: epoch, refused: epoch < a.epoch, from: from}
	if !o.refused {
		a.epoch = epoch
	}
	o.to = now()
	a.orders = append(a.orders, o)
	if o.refused {
		return fmt.Errorf("%w: %d after %d", errStale, epoch, a.epoch)
	}
	return nil
}

// stop kills the member. The lock is held.
func (a *agent) stop() {
	if a.s != nil {
		a.s.Kill()
		a.s = nil
	}
}

// start runs the member in place of the one that runs. The lock is held.
func (a *agent) start(epoch uint64) (*service, error) {
	a.stop()
	s, err := startService(job{Epoch: epoch, Log: a.log})
	if err == nil {
		a.s = s
	}
	return s, err
}

func (a *agent) fence(verb string, epoch uint64) error {
	from := now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.accept(verb, epoch, from); err != nil {
		return err
	}
	a.fenced = max(a.fenced, epoch)
	a.stop()
	return nil
}

func (a *agent) promote(epoch uint64) error {
	from := now()
	a.mu.Lock()
	err := a.accept("promote", epoch, from)
	slow := a.slow
	a.mu.Unlock()
	if err != nil {
		return err
	}
	time.Sleep(slow)
	a.mu.Lock()
	s := a.s
	switch {
	case epoch < a.epoch || epoch <= a.fenced:
		err = errStale // it came while this took its time
	case s == nil || s.Gone() || s.epoch != epoch:
		s, err = a.start(epoch)
	}
	a.mu.Unlock()
	if err != nil {
		return err
	}
	return s.serves()
}

func (a *agent) rejoin(epoch uint64) error {
	from := now()
	a.mu.Lock()
	err := a.accept("rejoin", epoch, from)
	s := a.s
	if err == nil && (s == nil || s.Gone() || s.epoch != 0) {
		s, err = a.start(0)
	}
	a.mu.Unlock()
	if err != nil {
		return err
	}
	return s.serves()
}

// crash kills the member without anybody's order.
func (a *agent) crash() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.s != nil {
		a.s.Kill()
	}
}

// die kills the member together with everything that was being done to it.
func (a *agent) die() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fenced = a.epoch
	a.stop()
}

// boot starts a member that is down, as a standby.
func (a *agent) boot() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.s != nil && !a.s.Gone() {
		return nil
	}
	_, err := a.start(0)
	return err
}

// process is the member's, nil while there is none.
func (a *agent) process() *service {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.s == nil || a.s.Gone() {
		return nil
	}
	return a.s
}

// askTime is how long a member may take to say who it is.
const askTime = 300 * time.Millisecond

// ask asks the member who it is.
func (a *agent) ask() (epoch uint64, down bool, err error) {
	s := a.process()
	if s == nil {
		return 0, true, errors.New("it is down")
	}
	select {
	case <-s.ready:
	default:
		return 0, true, errors.New("it starts")
	}
	c, err := net.DialTimeout("tcp", s.addr, askTime)
	if err != nil {
		return 0, s.Gone(), err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(askTime)); err != nil {
		return 0, false, err
	}
	if _, err := fmt.Fprintln(c, "who"); err != nil {
		return 0, false, err
	}
	text, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !parse(text, &epoch) {
		err = errors.New("it talks nonsense")
	}
	return epoch, false, err
}

// ServeHTTP answers as package standby describes.
func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		a.health(w)
		return
	}
	var o struct {
		Epoch uint64 `json:"epoch"`
	}
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var err error
	switch verb := strings.TrimPrefix(r.URL.Path, "/"); verb {
	case "fence", "demote":
		err = a.fence(verb, o.Epoch)
	case "promote":
		err = a.promote(o.Epoch)
	case "rejoin":
		err = a.rejoin(o.Epoch)
	default:
		http.NotFound(w, r)
		return
	}
	switch {
	case errors.Is(err, errStale):
		http.Error(w, err.Error(), http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// health tells how the member is; one that hangs makes the agent say so.
func (a *agent) health(w http.ResponseWriter) {
	epoch, down, err := a.ask()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case down:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"role": "unknown"}`)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case epoch > 0:
		fmt.Fprint(w, `{"role": "primary", "writable": true}`)
	default:
		fmt.Fprint(w, `{"role": "standby", "streaming": true}`)
	}
}
