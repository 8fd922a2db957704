// Package scheduler decides when work is due and turns it into jobs.
package scheduler
