package detection

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mahavishnu/coordinator/simulate"
	"mahavishnu/loadtest/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Some minutes of every noise: nobody is held down at the shipped threshold, a hair
// trigger suspects somebody, and waiting for more takes longer.
func TestThresholdsAreComparedInEveryNoise(t *testing.T) {
	r, err := Run(t.Context(), Options{Hours: 0.2, Thresholds: []float64{1}, Deaths: 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Points) != 2*len(simulate.Noises()) || r.False() != 0 {
		t.Fatalf("%d points, %d wrong verdicts", len(r.Points), r.False())
	}
	hair, shipped := r.Points[len(r.Points)-2], r.Points[len(r.Points)-1]
	if hair.Suspicions == 0 || hair.At(0.5) >= shipped.At(0.5) || shipped.Lived != 12*time.Minute || hair.Lived != 3*time.Minute {
		t.Errorf("threshold 1: %+v\nthreshold %d: %+v", hair, Shipped, shipped)
	}
	text := r.Document().Text()
	for _, want := range []string{"nobody who lived was held down", "all three", "up to 200ms of jitter"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	picture, err := report.SVG(r.Charts()...)
	if err != nil || bytes.Count(picture, []byte("<polyline")) != 5 {
		t.Errorf("%v\n%s", err, picture)
	}
}

func TestWrongVerdictsAreSaid(t *testing.T) {
	r := Report{Points: []simulate.Point{{Noise: "calm", Threshold: Shipped, Lived: time.Hour, Verdicts: 2}}}
	if lead := r.Document().Lead; !strings.Contains(lead, "held down 2 times") {
		t.Error(lead)
	}
}

func TestNothingToDoIsRefused(t *testing.T) {
	for _, o := range []Options{{Deaths: 1}, {Hours: 1}, {Hours: 1, Deaths: 1, Thresholds: []float64{0.5}}} {
		if _, err := Run(t.Context(), o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
