package config

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "250ms": 250 * time.Millisecond, "30s": 30 * time.Second, "15m": 15 * time.Minute,
		"1h30m": 90 * time.Minute, "36h": 36 * time.Hour, "7d": 7 * day, "2w": 14 * day, "1w1d1h": 8*day + time.Hour,
		"1.5h": 90 * time.Minute,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want {
			t.Errorf("%s = %v, %v; want %v", text, d, err, want)
		}
	}
	for _, text := range []string{"", "5", "1.5", "-1s", "5 m", "m", "1dd", "d", "1d1w", "-1d", "9999999w", "106751d24h", "1e3", "∞"} {
		d := Duration(1)
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, d)
		} else if d != 1 {
			t.Errorf("%q was refused, but changed the value", text)
		}
	}
}

func TestDurationsReadWhatTheyPrint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Duration(rapid.OneOf(
			rapid.Int64Range(0, math.MaxInt64),
			rapid.Custom(func(t *rapid.T) int64 { return rapid.Int64Range(0, 1e5).Draw(t, "minutes") * 60e9 }),
		).Draw(t, "duration"))
		var got Duration
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Fatalf("%d prints as %s and reads as %d, %v", want, want, got, err)
		}
	})
}

func TestPlainDurationsPrintPlainly(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": 0, "30s": 30 * time.Second, "15m": 15 * time.Minute, "3h": 3 * time.Hour, "1h30m": 90 * time.Minute,
		"1d": day, "7d": 7 * day, "1m30s": 90 * time.Second, "36h": 36 * time.Hour,
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v prints as %s, want %s", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "0B": 0, "1B": 1, "500MiB": 500 << 20, "20GB": 20e9, "20 gb": 20e9, "1.5TiB": 3 << 39, "1536KiB": 1536 << 10, "8388607TiB": 8388607 << 40,
	} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "-1MB", "1e3MB", "MB", "1.2.3MB", "1XB", "9999999TiB", "NaNMB", "1.MB.", "infB"} {
		s := Size(7)
		if err := s.UnmarshalText([]byte(text)); err == nil || s != 7 {
			t.Errorf("%q was read as %v (%v)", text, s, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := Size(rapid.Int64Range(0, math.MaxInt64).Draw(t, "size"))
		if rapid.Bool().Draw(t, "round") {
			want = want >> 40 << 40
		}
		var got Size
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Fatalf("%d prints as %s and reads as %d, %v", want, want, got, err)
		}
	})
}

func TestOtherUnits(t *testing.T) {
	var at TimeOfDay
	if err := at.UnmarshalText([]byte("23:59")); err != nil || at != (TimeOfDay{23, 59}) || at.String() != "23:59" {
		t.Errorf("23:59 = %v, %v", at, err)
	}
	for _, bad := range []string{"24:00", "2:00", "02:60", "02:00:00", "", "noon"} {
		if err := at.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a time of day: %v", bad, at)
		}
	}
	var weekday Weekday
	if err := weekday.UnmarshalText([]byte("Saturday")); err != nil || time.Weekday(weekday) != time.Saturday {
		t.Errorf("Saturday = %v, %v", weekday, err)
	}
	var monthDay MonthDay
	for text, want := range map[string]MonthDay{"1": 1, "28": 28, "last": LastDay, "Last": LastDay} {
		if err := monthDay.UnmarshalText([]byte(text)); err != nil || monthDay != want {
			t.Errorf("%s = %v, %v", text, monthDay, err)
		}
	}
	for _, bad := range []string{"0", "29", "31", "32", "-1", "first"} {
		if err := monthDay.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a day of the month: %v", bad, monthDay)
		}
	}
	var interval SyncInterval
	if err := interval.UnmarshalText([]byte("2m")); err != nil || interval.Always() || interval.String() != "2m" {
		t.Errorf("2m = %v, %v", interval, err)
	}
	if err := interval.UnmarshalText([]byte("always")); err != nil || !interval.Always() {
		t.Errorf("always = %v, %v", interval, err)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"retention_days", "key_path", "timezone", "enabled", "daily_incremental"}
	for name, want := range map[string]string{
		"retention_day": "retention_days", "key-path": "key_path", "Enabled": "enabled", "enbaled": "enabled",
		"time_zone": "timezone", "daily": "daily_incremental", "zzz": "", "": "", "e": "",
	} {
		if got := nearest(name, names); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}
