package detect

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// tail is the decimal logarithm of the normal distribution's tail from x on, by
// Laplace's continued fraction: an independent way to it, good for x above 3.
func tail(x float64) float64 {
	fraction := x
	for n := 400.0; n >= 1; n-- {
		fraction = x + n/fraction
	}
	return (-x*x/2 - math.Log(math.Sqrt(2*math.Pi)*fraction)) / math.Ln10
}

func TestPhiIsTheTailOfTheNormalDistribution(t *testing.T) {
	for _, x := range []float64{3.5, 5, 5.612, 8, 12, 16.9, 17, 20, 37, 38, 40, 50, 100, 1000} {
		want := -tail(x)
		if got := phi(x, 0, 1); math.Abs(got-want) > 1e-9*want {
			t.Errorf("phi at %v deviations is %v, want %v", x, got, want)
		}
	}
	// By the tables: half of all intervals are longer than the mean, and one in a
	// hundred million is 5.612 deviations above it.
	if got := phi(7, 7, 2); math.Abs(got-math.Log10(2)) > 1e-12 {
		t.Errorf("phi at the mean is %v", got)
	}
	if got := phi(5.612, 0, 1); math.Abs(got-8) > 1e-3 {
		t.Errorf("phi at 5.612 deviations is %v, want 8", got)
	}
}

func TestPhiIsANumberHoweverLongTheSilence(t *testing.T) {
	for _, elapsed := range []float64{-1e12, -1, 0, 1, 27, 1e3, 1e6, 1e12, math.MaxFloat64, math.Inf(1)} {
		got := phi(elapsed, 0.25, 0.1)
		if math.IsNaN(got) || got < 0 || got > MaxPhi {
			t.Errorf("phi after %v seconds is %v", elapsed, got)
		}
	}
	if got := phi(3600, 0.25, 0.1); got != MaxPhi {
		t.Errorf("phi after an hour is %v, want %v", got, float64(MaxPhi))
	}
}

// The two ways to the tail meet where one takes over from the other.
func TestPhiNeverFalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Float64Range(-40, 400).Draw(t, "at")
		if rapid.Bool().Draw(t, "at the seam") {
			at = farTail*math.Sqrt2 + rapid.Float64Range(-1e-6, 1e-6).Draw(t, "beside")
		}
		later := at + rapid.Float64Range(0, 10).Draw(t, "by")
		first, second := phi(at, 0, 1), phi(later, 0, 1)
		if second < first-1e-9*max(first, 1e-3) {
			t.Fatalf("phi fell from %v to %v between %v and %v deviations", first, second, at, later)
		}
	})
}
