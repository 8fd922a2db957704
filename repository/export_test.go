package repository

import "mahavishnu/repository/ledger"

// Distrust is distrust, for tests from outside.
func (r *Repository) Distrust(more ledger.Doubt) { r.distrust(more) }
