package terminal

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bytes renders a size: "0 B", "512 B", "1.5 KiB", "32.0 MiB", "120 GiB".
func Bytes[N int | int64 | uint64 | uint32](n N) string {
	value := float64(n)
	if value < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	unit := ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		value /= 1024
		// 1023.95 would be rendered as 1024.0 of this unit.
		if value < 1023.95 {
			break
		}
	}
	if value >= 99.95 {
		return fmt.Sprintf("%.0f %s", value, unit)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

// Rate renders bytes over a time as "82.1 MiB/s"; "-" when no time passed.
func Rate[N int | int64 | uint64](n N, d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return Bytes(int64(float64(n)/d.Seconds())) + "/s"
}

// Count renders a number with its thousands apart: "1,234,567".
func Count[N int | int64 | uint64 | uint32](n N) string {
	digits := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return sign + b.String()
}

// Plural renders "1 file" and "2 files".
func Plural[N int | int64 | uint64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "y") && !strings.HasSuffix(one, "ey") && !strings.HasSuffix(one, "ay") {
		return Count(n) + " " + strings.TrimSuffix(one, "y") + "ies"
	}
	return Count(n) + " " + one + "s"
}

// Percent renders a share: "12.5 %"; "-" of nothing.
func Percent(part, whole float64) string {
	if whole <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*part/whole)
}

// Duration renders a time span to the precision a person needs: "4 ms",
// "1.5 s", "2 min 05 s", "3 h 07 min", "12 d 4 h".
func Duration(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	switch {
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return fmt.Sprintf("%s%d µs", sign, d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%s%d ms", sign, d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%s%.1f s", sign, d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%s%.0f s", sign, d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%s%d min %02d s", sign, d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%s%d h %02d min", sign, d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%s%d d %d h", sign, d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
}

// Moment renders a point in time in its own zone: "2026-11-23 04:05:06 UTC";
// "never" for the zero time.
func Moment(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.Format("2006-01-02 15:04:05 MST")
}

// Ago renders how long before now a moment was: "3 h 07 min ago", "in 5 s".
func Ago(at, now time.Time) string {
	switch {
	case at.IsZero():
		return "never"
	case at.After(now):
		return "in " + Duration(at.Sub(now).Truncate(time.Second))
	default:
		return Duration(now.Sub(at).Truncate(time.Second)) + " ago"
	}
}

// Name renders a name from outside so that it cannot do harm: as it is when
// all of it can be printed, else quoted with escapes as in Go.
func Name(name string) string {
	if name == "" {
		return `""`
	}
	for _, r := range name {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.QuoteToGraphic(name)
		}
	}
	return name
}

// Cut shortens text to a width in columns, with an ellipsis where it was cut.
// Every rune is taken as one column wide.
func Cut(text string, width int) string {
	if width <= 0 {
		return ""
	}
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	runes := []rune(text)
	return string(runes[:width-1]) + "…"
}

// CutLeft shortens a path from its beginning, where it says least.
func CutLeft(text string, width int) string {
	if width <= 0 {
		return ""
	}
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	return "…" + string(runes[len(runes)-width+1:])
}
