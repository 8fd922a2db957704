package terminal

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"
)

// How often progress is shown: a person sees motion, a script is not flooded.
const (
	drawEvery  = 200 * time.Millisecond
	eventEvery = time.Second
)

// Work is how far something has come. Totals of zero are unknown.
type Work struct {
	Files, Bytes           int64 // done: files finished, bytes read or written
	Unchanged              int64 // bytes that needed neither: as they should be, or a hole
	Stored                 int64 // bytes that were new and had to be stored
	Errors                 int64
	TotalFiles, TotalBytes int64
	Path                   string // what is being worked on
	// Unit is what Files counts, when that is something other than files; then
	// bytes are shown only when there are some.
	Unit string
}

// Progress shows work going on, until Stop.
type Progress struct {
	terminal *Terminal
	verb     string
	started  time.Time
	done     chan struct{}
	stopped  sync.WaitGroup

	mu   sync.Mutex
	work Work
	pace pace
	seen sample
}

// pace is how fast work goes on, in bytes a second, smoothed.
type pace struct {
	rate float64 // read or written
	done float64 // with what needed neither: tells the time left
}

type sample struct {
	at          time.Time
	bytes, done int64
}

// done is how many bytes are dealt with.
func (w Work) done() int64 { return w.Bytes + w.Unchanged }

// Progress begins to show work under a verb: "backing up".
func (t *Terminal) Progress(verb string) *Progress {
	now := t.Clock.Now()
	p := &Progress{terminal: t, verb: verb, started: now, seen: sample{at: now}, done: make(chan struct{})}
	switch {
	case t.JSON:
		p.stopped.Go(func() { p.every(eventEvery, p.event) })
	case t.Live():
		p.stopped.Go(func() { p.every(drawEvery, p.draw) })
	}
	return p
}

// Update changes the work done so far. It does not block on the terminal.
func (p *Progress) Update(change func(*Work)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.work)
}

// Stop ends the display and returns the work done and the time it took.
func (p *Progress) Stop() (Work, time.Duration) {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	p.stopped.Wait()
	p.terminal.mu.Lock()
	p.terminal.wipe()
	p.terminal.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.work, p.terminal.Clock.Now().Sub(p.started)
}

func (p *Progress) every(interval time.Duration, show func(Work, pace, time.Duration)) {
	timer := p.terminal.Clock.NewTimer(interval)
	defer timer.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-timer.C():
			work, pace, elapsed := p.measure()
			show(work, pace, elapsed)
			timer.Reset(interval)
		}
	}
}

// measure takes the state and keeps a pace smoothed over about five seconds.
func (p *Progress) measure() (Work, pace, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.terminal.Clock.Now()
	if gap := now.Sub(p.seen.at).Seconds(); gap > 0 {
		smooth := func(rate *float64, bytes int64) {
			weight := min(1, gap/5)
			if *rate == 0 {
				weight = 1
			}
			*rate += weight * (float64(bytes)/gap - *rate)
		}
		smooth(&p.pace.rate, p.work.Bytes-p.seen.bytes)
		smooth(&p.pace.done, p.work.done()-p.seen.done)
		p.seen = sample{now, p.work.Bytes, p.work.done()}
	}
	return p.work, p.pace, now.Sub(p.started)
}

// remaining estimates the time left; ok is false when nothing tells.
func remaining(w Work, p pace) (time.Duration, bool) {
	if w.TotalBytes <= w.done() || p.done <= 0 {
		return 0, false
	}
	return time.Duration(float64(w.TotalBytes-w.done()) / p.done * float64(time.Second)), true
}

func (p *Progress) draw(w Work, pace pace, elapsed time.Duration) {
	p.terminal.draw(line(p.verb, w, pace, elapsed, p.terminal.columns()-1))
}

// line renders one line of progress; the path takes the room that is left.
func line(verb string, w Work, pace pace, elapsed time.Duration, width int) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	counted := w.Unit != "" && w.done() == 0 && w.TotalBytes == 0
	switch {
	case counted:
	case w.TotalBytes > 0:
		add("%3.0f %%", 100*min(1, float64(w.done())/float64(w.TotalBytes)))
		add("%s of %s", Bytes(w.done()), Bytes(w.TotalBytes))
	default:
		add("%s", Bytes(w.done()))
	}
	unit := cmp.Or(w.Unit, "file")
	if w.TotalFiles > 0 && w.Unit != "" {
		add("%s of %s", Count(w.Files), Plural(w.TotalFiles, unit))
	} else if w.Unit == "" || w.Files > 0 {
		add("%s", Plural(w.Files, unit))
	}
	if !counted {
		add("%s/s", Bytes(int64(pace.rate)))
	}
	if w.Errors > 0 {
		add("%s", Plural(w.Errors, "error"))
	}
	if left, ok := remaining(w, pace); ok {
		add("%s left", Duration(max(left.Round(time.Second), time.Second)))
	} else {
		add("%s", Duration(elapsed.Round(time.Second)))
	}
	text := verb + "  " + strings.Join(parts, " · ")
	if room := width - len([]rune(text)) - 2; w.Path != "" && room >= 12 {
		text += "  " + CutLeft(Name(w.Path), room)
	}
	return text
}

// ProgressEvent is the JSON of the event "progress".
type ProgressEvent struct {
	Verb        string  `json:"verb"`
	Seconds     float64 `json:"seconds"`
	Files       int64   `json:"files"`
	Bytes       int64   `json:"bytes"`                     // dealt with
	Unchanged   int64   `json:"unchanged_bytes,omitempty"` // of Bytes: neither read nor written
	Stored      int64   `json:"stored_bytes,omitempty"`
	Errors      int64   `json:"errors,omitempty"`
	TotalFiles  int64   `json:"total_files,omitempty"`
	TotalBytes  int64   `json:"total_bytes,omitempty"`
	Rate        float64 `json:"bytes_per_second"`
	SecondsLeft float64 `json:"seconds_left,omitempty"`
	Path        string  `json:"path,omitempty"`
	Unit        string  `json:"unit,omitempty"` // what files counts, when not files
}

func (p *Progress) event(w Work, pace pace, elapsed time.Duration) {
	left, _ := remaining(w, pace)
	p.terminal.Event("progress", ProgressEvent{
		Verb: p.verb, Seconds: elapsed.Seconds(), Files: w.Files, Bytes: w.done(), Unchanged: w.Unchanged, Stored: w.Stored, Errors: w.Errors,
		TotalFiles: w.TotalFiles, TotalBytes: w.TotalBytes, Rate: pace.rate, SecondsLeft: left.Seconds(), Path: w.Path, Unit: w.Unit,
	})
}
