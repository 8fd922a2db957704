package detect

import "math"

// MaxPhi is the largest phi that is told, so that it can be written as a number
// everywhere.
const MaxPhi = 1e6

// farTail is from where on the tail of the normal distribution is taken from its
// asymptotic series: the standard library's erfc is exact up to there and
// underflows to zero at 27.
const farTail = 12

// phi returns -log10 of the probability that a normally distributed interval is
// longer than elapsed. All are in the same unit; deviation is above zero.
func phi(elapsed, mean, deviation float64) float64 {
	z := (elapsed - mean) / (deviation * math.Sqrt2)
	return min(max((math.Ln2-logErfc(z))/math.Ln10, 0), MaxPhi)
}

// logErfc is the natural logarithm of the complementary error function, sound for
// every z.
func logErfc(z float64) float64 {
	if z < farTail {
		return math.Log(math.Erfc(z))
	}
	// Abramowitz and Stegun 7.1.23: six terms are exact to a few parts in 1e13
	// from farTail on.
	x := 1 / (2 * z * z)
	sum, term := 1.0, 1.0
	for n := 1.0; n <= 6; n++ {
		term *= -(2*n - 1) * x
		sum += term
	}
	return -z*z - math.Log(z*math.SqrtPi) + math.Log(sum)
}
