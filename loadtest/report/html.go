package report

import "mahavishnu/loadtest/compare"

// HTML is the comparisons as one page with plots.
func HTML(all []compare.Comparison) ([]byte, error) { return nil, nil }
