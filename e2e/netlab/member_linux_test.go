package netlab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mahavishnu/coordinator/program"
)

// memberArg makes the test binary a member of a service, or one of the commands that
// control it: memberArg VERB DIRECTORY [LISTEN].
const memberArg = "netlab-member"

// memberPort is where members listen.
const memberPort = "5499"

// playMember ends the process when it is one of a member's.
func playMember() {
	if len(os.Args) < 4 || os.Args[1] != memberArg {
		return
	}
	m := memberFile(filepath.Join(os.Args[3], "state"))
	var err error
	switch verb := os.Args[2]; verb {
	case "serve":
		err = m.serve(os.Args[4])
	case "health":
		var s memberState
		if err = m.locked(unix.LOCK_SH, func(f *os.File) error { s, err = readState(f); return err }); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(map[string]any{"role": s.role(), "writable": s.Writable, "position": "0", "streaming": true})
		}
	case "promote", "fence", "demote", "rejoin":
		err = m.order(verb)
	default:
		err = fmt.Errorf("%s is no order", verb)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		if strings.Contains(err.Error(), "stale") {
			os.Exit(program.Stale)
		}
		os.Exit(1)
	}
	os.Exit(0)
}

// memberState is what a member is: it takes writes or not, and obeys no lower epoch.
type memberState struct {
	Writable bool   `json:"writable"`
	Epoch    uint64 `json:"epoch"`
}

func (s memberState) role() string {
	if s.Writable {
		return "primary"
	}
	return "standby"
}

// memberFile holds the state. Whoever takes a write or changes the state locks it: an
// order that has ended is in force for every write after it.
type memberFile string

func (m memberFile) locked(how int, fn func(*os.File) error) error {
	f, err := os.OpenFile(string(m), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // what was written was checked
	if err := unix.Flock(int(f.Fd()), how); err != nil {
		return err
	}
	return fn(f)
}

func readState(f *os.File) (s memberState, err error) {
	text, err := os.ReadFile(f.Name())
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &s)
	}
	return s, err
}

func (m memberFile) order(verb string) error {
	epoch, err := strconv.ParseUint(os.Getenv("MAHAVISHNU_EPOCH"), 10, 64)
	if err != nil {
		return err
	}
	return m.locked(unix.LOCK_EX, func(f *os.File) error {
		s, err := readState(f)
		if err != nil {
			return err
		}
		if epoch < s.Epoch && verb == "promote" {
			return fmt.Errorf("stale: %d is less than %d", epoch, s.Epoch)
		}
		text, err := json.Marshal(memberState{Writable: verb == "promote", Epoch: max(epoch, s.Epoch)})
		if err == nil {
			err = os.WriteFile(string(m), text, 0o600)
		}
		return err
	})
}

// serve answers each line with "yes" when it took the write, or "no".
func (m memberFile) serve(listen string) error {
	l, err := net.Listen("tcp", listen) //nolint:noctx // it lives as long as the process
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close() //nolint:errcheck // the writer sees it
			for lines := bufio.NewScanner(c); lines.Scan(); {
				answer := "no\n"
				err := m.locked(unix.LOCK_SH, func(f *os.File) error {
					s, err := readState(f)
					if err == nil && s.Writable {
						_, err = c.Write([]byte("yes\n"))
						answer = ""
					}
					return err
				})
				if err == nil && answer != "" {
					_, err = c.Write([]byte(answer))
				}
				if err != nil {
					return
				}
			}
		}()
	}
}

// write is one that a member took: it did between these moments, both on this
// machine's clock.
type write struct {
	region     string
	sent, took time.Time
}

// writers write to the member of their own region, as fast as it answers.
type writers struct {
	t    *testing.T
	lab  *Lab
	stop context.CancelFunc
	all  sync.WaitGroup

	mu    sync.Mutex
	taken []write
	no    map[string]time.Time // when a region's member refused last
	since map[string]time.Time // and since when it has without a break
}

func startWriters(t *testing.T, lab *Lab, regions ...string) *writers {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &writers{t: t, lab: lab, stop: stop, no: map[string]time.Time{}, since: map[string]time.Time{}}
	for _, r := range regions {
		w.all.Go(func() {
			for ctx.Err() == nil {
				w.session(ctx, r)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	t.Cleanup(w.end)
	return w
}

func (w *writers) end() { w.stop(); w.all.Wait() }

func (w *writers) session(ctx context.Context, region string) {
	c, err := w.lab.Dial(ctx, region, "tcp", net.JoinHostPort(w.lab.Addr(region).String(), memberPort))
	if err != nil {
		return
	}
	defer c.Close() //nolint:errcheck // nothing is lost
	answers := bufio.NewReader(c)
	for ctx.Err() == nil {
		sent := time.Now()
		c.SetDeadline(sent.Add(time.Second)) //nolint:errcheck // the next call says it
		if _, err := c.Write([]byte("write\n")); err != nil {
			return
		}
		answer, err := answers.ReadString('\n')
		if err != nil {
			return
		}
		w.mu.Lock()
		if answer == "yes\n" {
			w.taken = append(w.taken, write{region, sent, time.Now()})
			delete(w.since, region)
		} else if w.no[region] = time.Now(); w.since[region].IsZero() {
			w.since[region] = sent
		}
		w.mu.Unlock()
		time.Sleep(2 * time.Millisecond)
	}
}

// writes are those that were taken after a moment, in the order in which they were.
func (w *writers) writes(after time.Time) []write {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []write
	for _, x := range w.taken {
		if x.sent.After(after) {
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(a, b write) int { return a.took.Compare(b.took) })
	return all
}

// first is the first write that a region's member took after a moment.
func (w *writers) first(region string, after time.Time) (write, bool) {
	for _, x := range w.writes(after) {
		if x.region == region {
			return x, true
		}
	}
	return write{}, false
}

// longestGap is the longest time after a moment in which no member took a write. A
// server that comes back can cost its streams an election, and leases are not renewed
// meanwhile.
func (w *writers) longestGap(after time.Time) (gap time.Duration) {
	for _, x := range w.writes(after) {
		gap, after = max(gap, x.sent.Sub(after)), x.took
	}
	return gap
}

// refusedSince is since when a region's member has refused without a break.
func (w *writers) refusedSince(region string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.since[region]
}

// judge wants that no two members ever took writes in turn: one that took a write after
// another one did must have been promoted, and the other one takes none until it is.
func (w *writers) judge(after time.Time) (turns int) {
	w.t.Helper()
	var last write
	for _, x := range w.writes(after) {
		if last.region != "" && x.region != last.region {
			turns++
			if x.sent.Before(last.took) {
				w.t.Errorf("%s took a write %v before %s took its last", x.region, last.took.Sub(x.sent), last.region)
			}
		}
		last = x
	}
	return turns
}
