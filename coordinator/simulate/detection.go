package simulate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"mahavishnu/coordinator"
	"mahavishnu/fault"
)

// Detection lets a world live for a while, kills a member and its node, and returns how
// long it took until somebody who may decide held it down.
func Detection(n Noise, threshold float64, seed uint64) (time.Duration, error) {
	w, err := New(n, threshold, seed)
	if err != nil {
		return 0, err
	}
	w.Run(20*time.Second + time.Duration(w.random.IntN(1000))*time.Millisecond)
	target := coordinator.MemberTarget(service, "a")
	delete(w.firstDown, target)
	killed := w.now
	w.kill("db-a")
	for range 120 {
		w.Run(every)
		if at, ok := w.firstDown[target]; ok {
			return at.Sub(killed), nil
		}
	}
	return 0, fault.New("notice a death in noise", n.Name, fmt.Errorf("threshold %v, seed %d: half a minute was not enough", threshold, seed), "")
}

// Point is what one threshold makes of one kind of noise.
type Point struct {
	Noise     string  `json:"noise"`
	Threshold float64 `json:"threshold"`
	// Lived is how long everybody lived, and Suspicions and Verdicts how often somebody
	// was held down meanwhile: by a coordinator alone, and by one with a majority.
	Lived      time.Duration `json:"lived_ns"`
	Suspicions int           `json:"suspicions"`
	Verdicts   int           `json:"verdicts"`
	// Deaths is how long it took each time until a dead member was held down, sorted.
	Deaths []time.Duration `json:"deaths_ns"`
}

// At is a percentile of the times to detection, by nearest rank.
func (p Point) At(share float64) time.Duration {
	if len(p.Deaths) == 0 {
		return 0
	}
	return p.Deaths[min(int(share*float64(len(p.Deaths))), len(p.Deaths)-1)]
}

// PerDay is a count of wrong judgements as a number a day.
func (p Point) PerDay(count int) float64 {
	return float64(count) * float64(24*time.Hour) / float64(p.Lived)
}

// Try lives for so long under a threshold, and dies so many times.
func Try(ctx context.Context, n Noise, threshold float64, lives time.Duration, deaths int) (Point, error) {
	const seed = 7 // one day is like another
	w, err := New(n, threshold, seed)
	if err != nil {
		return Point{}, err
	}
	p := Point{Noise: n.Name, Threshold: threshold, Lived: lives}
	for left := lives; left > 0; left -= time.Minute {
		w.Run(min(left, time.Minute))
		if ctx.Err() != nil {
			return p, context.Cause(ctx)
		}
	}
	p.Suspicions, p.Verdicts = w.Suspicions(), w.Verdicts()
	for seed := range uint64(deaths) {
		took, err := Detection(n, threshold, seed)
		if err != nil || ctx.Err() != nil {
			return p, fault.New("simulate", n.Name, cmp.Or(err, context.Cause(ctx)), "")
		}
		p.Deaths = append(p.Deaths, took)
	}
	slices.Sort(p.Deaths)
	return p, nil
}
