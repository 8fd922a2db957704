package scheduler

import (
	"fmt"
	"time"

	// A zone must resolve in a container without zone files and on Windows.
	_ "time/tzdata"

	"mahavishnu/fault"
)

// reach is how far a wall clock can stand from UTC, with room to spare: the
// largest offset in the zone database is 15 h, the largest step 24 h.
const reach = 48 * time.Hour

// LoadZone returns the IANA zone of that name; empty means UTC. "Local" is
// refused: two schedulers on two machines would disagree about it.
func LoadZone(name string) (*time.Location, error) {
	switch name {
	case "":
		return time.UTC, nil
	case "Local", "local":
		return nil, fault.New("load time zone", name, nil, "name an IANA zone such as Europe/Berlin: Local differs from machine to machine")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fault.New("load time zone", name, err, "use an IANA name such as UTC, Europe/Berlin or America/New_York")
	}
	return zone, nil
}

// wallOf returns what clocks in zone show at t, as the fields of a UTC time.
func wallOf(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// firstShown returns the first instant at which clocks in zone show wall or,
// where they jump over it, the instant at which the jump ends. It never goes
// back as wall goes forward.
func firstShown(wall time.Time, zone *time.Location) time.Time {
	passed := false
	for at := wall.Add(-reach); ; {
		start, end, offset := segment(at, zone)
		shown := wall.Add(-offset)
		switch {
		case passed && shown.Before(start):
			return start // the clocks jumped from before wall to after it
		case end.IsZero() || shown.Before(end):
			return shown
		}
		passed = true
		at = end
	}
}

// segment returns the stretch [start, end) of constant offset that holds t;
// a zero bound means that it has none.
func segment(t time.Time, zone *time.Location) (start, end time.Time, offset time.Duration) {
	local := t.In(zone)
	start, end = local.ZoneBounds()
	_, seconds := local.Zone()
	if !start.IsZero() {
		start = start.UTC()
	}
	if !end.IsZero() {
		end = end.UTC()
	}
	return start, end, time.Duration(seconds) * time.Second
}

// repeats returns the doubled stretches of wall clock that matter right after
// t: the one that t may lie in (second pass) and the one that ends t's offset.
func repeats(t time.Time, zone *time.Location) []repeat {
	start, end, offset := segment(t, zone)
	var found []repeat
	if !start.IsZero() {
		_, _, before := segment(start.Add(-time.Second), zone)
		if before > offset {
			found = append(found, repeat{from: start.Add(offset), to: start.Add(before), offset: offset})
		}
	}
	if !end.IsZero() {
		_, _, after := segment(end, zone)
		if after < offset {
			found = append(found, repeat{from: end.Add(after), to: end.Add(offset), offset: after})
		}
	}
	return found
}

// repeat is a stretch of wall clock [from, to) that is shown twice, the second
// time at offset.
type repeat struct {
	from, to time.Time
	offset   time.Duration
}

// formatWall renders an instant as its zone's clocks show it, for people.
func formatWall(t time.Time, zone *time.Location) string {
	if zone == time.UTC {
		return t.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	return fmt.Sprintf("%s (%s)", t.In(zone).Format("2006-01-02 15:04:05 -07:00"), zone)
}
