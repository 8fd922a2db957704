package prune

import (
	"context"
	"errors"

	"mahavishnu/fault"
	"mahavishnu/repository"
)

// Run prunes a repository, as far as it can be done now. The report is filled
// in as far as possible when there is an error too. A *lease.BusyError says that
// another run is at work.
func Run(_ context.Context, repo *repository.Repository, _ Options) (Report, error) {
	return Report{}, fault.New("prune", repo.Backend().Location(), errors.New("not available yet"), "")
}
