package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Duration is a length of time, written with a unit: "250ms", "15m", "1h30m",
// "7d", "2w". A day is 24 hours, whatever the calendar says.
type Duration time.Duration

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String renders d so that UnmarshalText reads it back.
func (d Duration) String() string {
	std := time.Duration(d)
	if std != 0 && std%day == 0 {
		return strconv.FormatInt(int64(std/day), 10) + "d"
	}
	text := std.String()
	// 15m0s and 3h0m0s are how Go prints what people write as 15m and 3h.
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText renders d as String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration; the error says what a good one looks like.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return fmt.Errorf(`%s has no unit: write %ss, %sm or %sh`, s, s, s, s)
	}
	rest, total := s, time.Duration(0)
	for _, unit := range []struct {
		letter byte
		length time.Duration
	}{{'w', 7 * day}, {'d', day}} {
		i := strings.IndexByte(rest, unit.letter)
		if i <= 0 {
			continue
		}
		n, err := strconv.ParseUint(rest[:i], 10, 32)
		if err != nil {
			return notADuration(s)
		}
		if n > uint64((math.MaxInt64-total)/unit.length) {
			return fmt.Errorf("%q is too long", s)
		}
		total += time.Duration(n) * unit.length
		rest = rest[i+1:]
	}
	if rest != "" {
		std, err := time.ParseDuration(rest)
		if err != nil {
			return notADuration(s)
		}
		if std > math.MaxInt64-total {
			return fmt.Errorf("%q is too long", s)
		}
		total += std
	}
	if s == "" {
		return notADuration(s)
	}
	if total < 0 {
		return fmt.Errorf("%q is negative", s)
	}
	*d = Duration(total)
	return nil
}

func notADuration(s string) error {
	return fmt.Errorf(`%q is not a duration: write for example 30s, 15m, 1h30m, 7d or 2w`, s)
}

// TimeOfDay is a time on a 24-hour clock, written "HH:MM".
type TimeOfDay struct{ Hour, Minute int }

// Std returns the time since midnight.
func (t TimeOfDay) Std() time.Duration {
	return time.Duration(t.Hour)*time.Hour + time.Duration(t.Minute)*time.Minute
}

// String renders t as "HH:MM".
func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", t.Hour, t.Minute) }

// MarshalText renders t as String does.
func (t TimeOfDay) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads "HH:MM".
func (t *TimeOfDay) UnmarshalText(text []byte) error {
	parsed, err := time.Parse("15:04", string(text))
	if err != nil || len(text) != len("15:04") {
		return fmt.Errorf(`%q is not a time of day: write "HH:MM" on a 24-hour clock, from "00:00" to "23:59"`, text)
	}
	t.Hour, t.Minute = parsed.Hour(), parsed.Minute()
	return nil
}

// Weekday is a day of the week, written as its English name.
type Weekday time.Weekday

var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// String returns the English name in small letters.
func (d Weekday) String() string { return weekdays[int(d)%len(weekdays)] }

// MarshalText renders d as String does.
func (d Weekday) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads an English name; capitals do not matter.
func (d *Weekday) UnmarshalText(text []byte) error {
	for i, name := range weekdays {
		if strings.EqualFold(name, string(text)) {
			*d = Weekday(i)
			return nil
		}
	}
	return notOneOf(string(text), "a day of the week", weekdays)
}

// MonthDay is a day of the month that every month has: 1 to 28, or the last.
type MonthDay int

// LastDay is the last day of a month, whichever that is.
const LastDay MonthDay = -1

// String returns the number, or "last".
func (d MonthDay) String() string {
	if d == LastDay {
		return "last"
	}
	return strconv.Itoa(int(d))
}

// MarshalText renders d as String does.
func (d MonthDay) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 1 to 28 or "last".
func (d *MonthDay) UnmarshalText(text []byte) error {
	if strings.EqualFold(string(text), "last") {
		*d = LastDay
		return nil
	}
	n, err := strconv.Atoi(string(text))
	switch {
	case err != nil:
		return fmt.Errorf(`%q is not a day of the month: write 1 to 28, or "last"`, text)
	case n >= 29 && n <= 31:
		return fmt.Errorf(`not every month has a day %d: write 1 to 28, or "last" for the last day whichever it is`, n)
	case n < 1 || n > 31:
		return fmt.Errorf(`no month has a day %d: write 1 to 28, or "last"`, n)
	}
	*d = MonthDay(n)
	return nil
}

// SyncInterval is how often a server makes accepted messages safe against a
// power cut. Zero is "always": before each acknowledgement.
type SyncInterval time.Duration

// Always reports whether each message is made safe before it is acknowledged.
func (s SyncInterval) Always() bool { return s == 0 }

// String returns the duration, or "always".
func (s SyncInterval) String() string {
	if s.Always() {
		return "always"
	}
	return Duration(s).String()
}

// MarshalText renders s as String does.
func (s SyncInterval) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a duration or "always".
func (s *SyncInterval) UnmarshalText(text []byte) error {
	if string(text) == "always" {
		*s = 0
		return nil
	}
	var d Duration
	if err := d.UnmarshalText(text); err != nil {
		return fmt.Errorf(`%w, or "always"`, err)
	}
	if d == 0 {
		return errors.New(`0s could be read as never or as always: write "always", or a duration`)
	}
	*s = SyncInterval(d)
	return nil
}
