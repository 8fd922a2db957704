package dispersed

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"mahavishnu/fault"
)

// Scheme is how the URL of a dispersed storage begins.
const Scheme = "disperse"

// Layout is a dispersed storage as its URL names it.
type Layout struct {
	// Data and Parity are k and m: any Data of the Data + Parity storages are
	// enough to read everything.
	Data, Parity int
	// Quorum is how many storages must have an object before it counts as stored;
	// 0 leaves it to [Config].
	Quorum int
	// NoHedging asks only as many storages as a read needs, and another one only
	// when one of them failed.
	NoHedging bool
	// At are the URLs of the storages. The order is part of the layout: the first
	// keeps shard 0 of every object.
	At []string
}

const (
	urlForm = "write it as disperse:4+2?quorum=5&at=URL&at=..., with one at for each of the 4 + 2 storages " +
		"and in their URLs % as %25, & as %26, + as %2B, # as %23"
	paramQuorum = "quorum"
	paramHedge  = "hedge"
	paramAt     = "at"
)

// ParseURL reads a URL disperse:K+M?quorum=Q&hedge=off&at=URL&at=URL..., in
// which every at is escaped as a parameter of a URL is. Only at must be given.
// [Layout.String] writes the same form.
func ParseURL(location string) (Layout, error) {
	l, err := parseURL(location)
	if err != nil {
		// The text is not shown: the URLs in it may hold what is nobody's business.
		return Layout{}, fault.New("open storage", "the configured "+Scheme+": URL", err, urlForm)
	}
	return l, nil
}

func parseURL(location string) (Layout, error) {
	rest, ok := strings.CutPrefix(location, Scheme+":")
	if !ok {
		return Layout{}, errors.New("its scheme is not " + Scheme)
	}
	if strings.Contains(rest, "#") {
		return Layout{}, errors.New("it has a part after #")
	}
	shape, query, _ := strings.Cut(rest, "?")
	data, parity, err := parseShape(shape)
	if err != nil {
		return Layout{}, err
	}
	l := Layout{Data: data, Parity: parity}
	values, err := url.ParseQuery(query)
	if err != nil {
		return Layout{}, errors.New("what follows the ? is not a list of parameters")
	}
	for name, given := range values {
		if name != paramAt && len(given) > 1 {
			return Layout{}, fmt.Errorf("%s is given %d times", printable(name), len(given))
		}
		switch name {
		case paramQuorum:
			if l.Quorum, err = parseCount(given[0]); err != nil || l.Quorum == 0 {
				return Layout{}, errors.New("quorum is not a number from 1")
			}
		case paramHedge:
			if given[0] != "on" && given[0] != "off" {
				return Layout{}, errors.New("hedge is neither on nor off")
			}
			l.NoHedging = given[0] == "off"
		case paramAt:
			l.At = given
		default:
			return Layout{}, fmt.Errorf("unknown parameter %s; there are %s, %s and %s", printable(name), paramAt, paramQuorum, paramHedge)
		}
	}
	return l, l.check()
}

func parseShape(s string) (data, parity int, err error) {
	left, right, ok := strings.Cut(s, "+")
	if ok {
		if data, err = parseCount(left); err == nil {
			parity, err = parseCount(right)
		}
	}
	if !ok || err != nil {
		return 0, 0, errors.New("it does not say how many data and parity shards there are, as in 4+2")
	}
	return data, parity, nil
}

// parseCount accepts a number as it is written: no sign, no zero in front.
func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || strconv.Itoa(n) != s {
		return 0, errors.New("not a number")
	}
	return n, nil
}

// check tells what is wrong with a layout.
func (l Layout) check() error {
	if err := checkShape(l.Data, l.Parity, l.Quorum); err != nil {
		return err
	}
	if n := l.Data + l.Parity; len(l.At) != n {
		return fmt.Errorf("%d+%d needs %d storages and %d are given", l.Data, l.Parity, n, len(l.At))
	}
	for i, at := range l.At {
		if at == "" {
			return fmt.Errorf("storage %d of %d is empty", i+1, len(l.At))
		}
		if strings.HasPrefix(at, Scheme+":") {
			return fmt.Errorf("storage %d of %d is dispersed itself", i+1, len(l.At))
		}
		if slices.Contains(l.At[:i], at) {
			return fmt.Errorf("storage %d of %d is there twice: both shards would be lost at once", i+1, len(l.At))
		}
	}
	return nil
}

// String returns the URL.
func (l Layout) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d+%d?", Scheme, l.Data, l.Parity)
	if l.Quorum > 0 {
		fmt.Fprintf(&b, "%s=%d&", paramQuorum, l.Quorum)
	}
	if l.NoHedging {
		b.WriteString(paramHedge + "=off&")
	}
	for i, at := range l.At {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(paramAt + "=" + url.QueryEscape(at))
	}
	return b.String()
}

// printable shows a word of somebody's on one short line.
func printable(s string) string {
	if len(s) > 40 {
		s = s[:40] + "..."
	}
	return strconv.QuoteToASCII(s)
}
