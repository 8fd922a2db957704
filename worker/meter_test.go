package worker

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/messages"
)

func TestMeterRateAndTimeLeft(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := newMeter(at)
	if m.news(at) != nil || m.progress(at) != nil {
		t.Error("a silent handler has progress")
	}
	m.Add(Advance{ExpectFiles: 1, ExpectBytes: 3000})
	m.Add(Advance{Files: 1, Bytes: 1000, Current: "a", ExpectFiles: 3, ExpectBytes: 1000})
	m.Add(Advance{Dirs: 1, Stored: 500, Problems: 1})
	at = at.Add(time.Second)
	want := &messages.Progress{
		At: at, Files: 1, Dirs: 1, Bytes: 1000, Stored: 500, Problems: 1, TotalFiles: 4, TotalBytes: 4000,
		Current: "a", Rate: 1000, ETAMillis: 3000,
	}
	if diff := cmp.Diff(want, m.news(at)); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if m.news(at) != nil {
		t.Error("old news")
	}
	// A standstill: the rate sinks towards zero, the time left grows.
	for range 60 {
		at = at.Add(time.Second)
		m.progress(at)
	}
	p := m.progress(at)
	if p.Rate > 1 || p.ETAMillis > 0 && p.ETAMillis < 1e6 {
		t.Errorf("after a minute of standstill: rate %v, %d ms left", p.Rate, p.ETAMillis)
	}
	m.Add(Advance{Bytes: 9000})
	if p := m.progress(at.Add(time.Second)); p.ETAMillis != 0 {
		t.Errorf("%d ms left after more than was expected", p.ETAMillis)
	}
}

func TestRetryDelays(t *testing.T) {
	p := RetryPolicy{First: time.Second, Max: time.Minute, Factor: 3, Jitter: 0.5}
	for failures, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 3 * time.Second, 3: 9 * time.Second, 5: time.Minute, 10_000: time.Minute,
	} {
		if got := p.Delay(failures, 0); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
		if got := p.Delay(failures, 0.999999); got < want/2 || got > want/2+want/1000 {
			t.Errorf("after %d failures with the most jitter: %v, want about %v", failures, got, want/2)
		}
	}
	if got := (RetryPolicy{}).Delay(1, 0); got != 5*time.Second {
		t.Errorf("default: %v", got)
	}
}

func TestCutKeepsCharactersWhole(t *testing.T) {
	for in, want := range map[string]string{"abc": "abc", "abcdef": "abcd…", "abcéf": "abc…"} {
		if got := cut(in, 4); got != want {
			t.Errorf("cut(%q) = %q, want %q", in, got, want)
		}
	}
}
