package netlab

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mahavishnu/lab/netlab"
)

// memberArg makes the test binary a member of a service: memberArg DIRECTORY LISTEN. What
// controls it is memberScript, which starts in no time: a keeper has patience with its member's
// commands for a second, and this binary, with all that it is linked with, can take longer to
// start on a busy machine.
const (
	memberArg    = "netlab-member"
	memberScript = "testdata/member.sh"
)

// memberPort is where members listen.
const memberPort = "5499"

// playMember ends the process when it is a member.
func playMember() {
	if len(os.Args) != 4 || os.Args[1] != memberArg {
		return
	}
	fmt.Fprintln(os.Stderr, memberFile(filepath.Join(os.Args[2], "state")).serve(os.Args[3]))
	os.Exit(1)
}

// memberFile holds whether a member takes writes, and the highest epoch that it obeyed: what
// memberScript reads and writes. Whoever takes a write locks it.
type memberFile string

func (m memberFile) set(writable bool) error {
	return os.WriteFile(string(m), fmt.Appendf(nil, "%t 0\n", writable), 0o600)
}

// whileUnchanged calls fn with whether writes are taken, and nobody can change that meanwhile.
func (m memberFile) whileUnchanged(fn func(writable bool) error) error {
	f, err := os.Open(string(m))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it is read only
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		return err
	}
	var writable bool
	var epoch uint64
	if _, err := fmt.Fscan(f, &writable, &epoch); err != nil {
		return err
	}
	return fn(writable)
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
				err := m.whileUnchanged(func(writable bool) error {
					answer := "no\n"
					if writable {
						answer = "yes\n"
					}
					_, err := c.Write([]byte(answer))
					return err
				})
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
	lab  *netlab.Lab
	stop context.CancelFunc
	all  sync.WaitGroup

	mu    sync.Mutex
	taken []write
	no    map[string]time.Time // when a region's member refused last
	since map[string]time.Time // and since when it has without a break
}

func startWriters(t *testing.T, lab *netlab.Lab, regions ...string) *writers {
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
