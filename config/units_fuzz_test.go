package config

import (
	"encoding"
	"testing"
	"time"
)

type textual interface {
	encoding.TextMarshaler
	encoding.TextUnmarshaler
}

// A value that is accepted is written in a way that reads as the same value.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"1h30m", "7d", "2w3d", "02:30", "Monday", "last", "28", "always", "0s", "1e9h", "9223372036854775807ns", "1.5TiB", "20 gb", "0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, pair := range [][2]textual{
			{new(Duration), new(Duration)},
			{new(TimeOfDay), new(TimeOfDay)},
			{new(Weekday), new(Weekday)},
			{new(MonthDay), new(MonthDay)},
			{new(SyncInterval), new(SyncInterval)},
			{new(Size), new(Size)},
		} {
			if pair[0].UnmarshalText([]byte(text)) != nil {
				continue
			}
			again, err := pair[0].MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			if err := pair[1].UnmarshalText(again); err != nil {
				t.Fatalf("%T: %q is accepted, and written as %q: %v", pair[0], text, again, err)
			}
			if third, _ := pair[1].MarshalText(); string(third) != string(again) {
				t.Fatalf("%T: %q is written as %q, then as %q", pair[0], text, again, third)
			}
		}
	})
}

// An accepted schedule has a next slot behind the time it is asked about, or none.
func FuzzCron(f *testing.F) {
	for _, s := range []string{"0 2 * * *", "*/15 0-6 L * FRI", "@daily", "0 0 31 2 *", "0 0 15W * 5#3"} {
		f.Add(s, int64(1790000000))
	}
	f.Fuzz(func(t *testing.T, text string, at int64) {
		schedule, err := ParseCron(text)
		if err != nil {
			return
		}
		now := time.Unix(at%(1<<34), 0).UTC()
		if next := schedule.Next(now); !next.IsZero() && !next.After(now) {
			t.Fatalf("%q: after %v comes %v", text, now, next)
		}
	})
}
