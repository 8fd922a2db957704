package netlab

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mahavishnu/clock"
)

// packet is one for a port, with a number in it.
func packet(to, number int) []byte {
	p := make([]byte, 24)
	p[0] = 4 << 4
	copy(p[16:], addressOf(to).AsSlice())
	binary.BigEndian.PutUint32(p[20:], uint32(number))
	return p
}

// arrival is a packet that came out of a mesh.
type arrival struct {
	to, number int
	after      time.Duration
}

// play runs fn with a mesh of three ports and returns what arrived within a minute.
func play(t *testing.T, fn func(*mesh)) (arrived []arrival) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		began := time.Now()
		w := newMesh(3, 1, clock.System(), func(to int, p []byte) {
			arrived = append(arrived, arrival{to, int(binary.BigEndian.Uint32(p[20:])), time.Since(began)})
		})
		fn(w)
		time.Sleep(time.Minute)
		w.close()
	})
	return arrived
}

func numbers(arrived []arrival) []int {
	var all []int
	for _, a := range arrived {
		all = append(all, a.number)
	}
	return all
}

func TestPerfectLink(t *testing.T) {
	arrived := play(t, func(w *mesh) {
		w.take(0, packet(1, 1))
		w.take(0, packet(2, 2))
		w.take(1, packet(0, 3))
		for _, lost := range [][]byte{nil, {1, 2, 3}, packet(0, 9), packet(7, 9), bytes.Repeat([]byte{0x60}, 60)} {
			w.take(0, lost) // nobody's
		}
	})
	if !slices.Equal(arrived, []arrival{{1, 1, 0}, {2, 2, 0}, {0, 3, 0}}) {
		t.Errorf("arrived: %v", arrived)
	}
}

func TestOneWayCut(t *testing.T) {
	arrived := play(t, func(w *mesh) {
		w.set(0, 1, Link{Delay: time.Second})
		w.take(0, packet(1, 1)) // lost under way
		w.set(0, 1, Link{Cut: true})
		w.take(0, packet(1, 2))
		w.take(1, packet(0, 3))
		w.take(2, packet(1, 4))
		if c := w.count(0, 1); c != (Count{Lost: 2}) {
			t.Errorf("counted: %+v", c)
		}
		w.set(0, 1, Link{})
		w.take(0, packet(1, 5))
		if c := w.count(0, 1); c != (Count{Passed: 1, Lost: 2}) {
			t.Errorf("counted: %+v", c)
		}
	})
	if got := numbers(arrived); !slices.Equal(got, []int{3, 4, 5}) {
		t.Errorf("arrived: %v", got)
	}
}

func TestDelayKeepsOrder(t *testing.T) {
	arrived := play(t, func(w *mesh) {
		w.set(0, 1, Link{Delay: 40 * time.Millisecond, Jitter: 20 * time.Millisecond})
		for i := range 100 {
			w.take(0, packet(1, i))
			time.Sleep(time.Millisecond)
		}
	})
	if len(arrived) != 100 || !slices.IsSorted(numbers(arrived)) {
		t.Fatalf("arrived: %v", numbers(arrived))
	}
	spread := map[time.Duration]bool{}
	for i, a := range arrived {
		late := a.after - time.Duration(i)*time.Millisecond
		if late < 40*time.Millisecond || late >= 60*time.Millisecond {
			t.Errorf("packet %d took %v", i, late)
		}
		spread[late] = true
	}
	if len(spread) < 10 {
		t.Errorf("no jitter: %v", spread)
	}
}

func TestLoss(t *testing.T) {
	arrived := play(t, func(w *mesh) {
		w.set(0, 1, Link{Loss: 0.2})
		for i := range 10_000 {
			w.take(0, packet(1, i))
		}
		if c := w.count(0, 1); c.Passed+c.Lost != 10_000 || c.Lost < 1800 || c.Lost > 2200 {
			t.Errorf("counted: %+v", c)
		}
	})
	if len(arrived) < 7800 || len(arrived) > 8200 {
		t.Errorf("%d of 10000 arrived", len(arrived))
	}
}

func TestRate(t *testing.T) {
	arrived := play(t, func(w *mesh) {
		w.set(0, 1, Link{Rate: 2400, Delay: 5 * time.Millisecond}) // a packet of 24 bytes each 10 ms
		for i := range 50 {
			w.take(0, packet(1, i))
		}
	})
	for i, a := range arrived {
		if want := time.Duration(i+1)*10*time.Millisecond + 5*time.Millisecond; a.after != want {
			t.Fatalf("packet %d arrived after %v, not %v", i, a.after, want)
		}
	}
	if len(arrived) != 50 {
		t.Errorf("%d arrived", len(arrived))
	}
}

func TestJamHoldsBackAndLetsGo(t *testing.T) {
	arrived := play(t, func(w *mesh) {
		w.set(0, 1, Link{Jam: true})
		for i := range 3 {
			w.take(0, packet(1, i))
			time.Sleep(time.Second)
		}
		w.set(0, 1, Link{})
		w.take(0, packet(1, 3)) // it may not overtake
	})
	if got := numbers(arrived); !slices.Equal(got, []int{0, 1, 2, 3}) || arrived[0].after != 3*time.Second {
		t.Errorf("arrived: %v", arrived)
	}
}

func TestQueueIsBounded(t *testing.T) {
	play(t, func(w *mesh) {
		w.set(0, 1, Link{Jam: true})
		large := append(packet(1, 1), make([]byte, 60<<10)...)
		for range 100 {
			w.take(0, large)
		}
		if c := w.count(0, 1); c.Lost < 20 || c.Passed != 0 {
			t.Errorf("counted: %+v", c)
		}
	})
}
