package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/app"
	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/replication"
	"mahavishnu/storage/dispersed"
	"mahavishnu/terminal"
)

// statusPatience is how long a storage that fails is asked again while somebody
// waits.
const statusPatience = 15 * time.Second

func newReplicationCommand(e *env) *cobra.Command {
	return parent("replication", "See how far copies are behind; change which one is the primary",
		`Each region's repository is copied to other regions as the pairs under
backup.replication.regions say. A copy is named by the region that keeps it, or as
PRIMARY@REGION where that keeps several.`,
		`  mahavishnu replication status
  mahavishnu replication promote us-east-1@eu-west-1 --reason outage
  mahavishnu replication demote us-east-1@eu-west-1
  mahavishnu replication failback us-east-1@eu-west-1`,
		newReplicationStatusCommand(e), newPromoteCommand(e), newDemoteCommand(e), newFailbackCommand(e))
}

func newReplicationStatusCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "status [COPY]...",
		Short: "Show how far copies are behind, and which storage is the primary",
		Long: `Look at both ends of each copy, and tell what is not copied yet: objects, bytes,
and for how long the oldest snapshot among it has waited. It ends with 1 when an end
cannot be seen, when a copy that was there is gone, and when no storage is the primary, or two are.`,
		Example: "  mahavishnu replication status\n  mahavishnu replication status --json",
		RunE:    func(cmd *cobra.Command, args []string) error { return runReplicationStatus(cmd.Context(), e, args) },
	})
}

// copyStatus is how one copy is.
type copyStatus struct {
	Copy    string `json:"copy"`
	Primary end    `json:"primary"`
	Replica end    `json:"replica"`
	// Lag is what is not copied; nil when it cannot be seen.
	Lag        *replication.Lag `json:"lag,omitempty"`
	LagSeconds float64          `json:"lag_seconds"`
	// State is one word, or two; Next is what to do about it.
	State string `json:"state"`
	Next  string `json:"next,omitempty"`
	Error string `json:"error,omitempty"`

	headless string
	gone     bool
}

// end is one end of a copy.
type end struct {
	Location string           `json:"location"`
	Role     replication.Role `json:"role,omitempty"`
	Epoch    uint32           `json:"epoch"`
	// Since, By and Reason tell of the last change of roles.
	Since  time.Time `json:"since,omitzero"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

func runReplicationStatus(ctx context.Context, e *env, args []string) error {
	cfg, pairs, err := e.copies("mahavishnu replication status", args)
	if err != nil {
		return err
	}
	replicas := e.replicas(cfg)
	replicas.Storage = replicas.Storage.Hasty(statusPatience)
	all := []copyStatus{}
	var failures []error
	for _, pair := range pairs {
		status, err := lookAtCopy(ctx, replicas, pair, e.clock.Now())
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			status.Error = err.Error()
			if status.Next == "" {
				err = noCopies(pair, err)
			}
			failures = append(failures, err)
		}
		all = append(all, status)
	}
	e.term.Document(struct {
		Copies []copyStatus `json:"copies"`
	}{all})
	e.printCopies(all)
	return errors.Join(failures...)
}

// lookAtCopy asks both ends what they are, and how far one is behind the other.
func lookAtCopy(ctx context.Context, replicas app.Replicas, pair config.RegionPair, now time.Time) (s copyStatus, err error) {
	s.Copy = pair.String()
	defer func() { s.State = s.state() }()
	primary, replica, err := replicas.Ends(ctx, pair)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, primary.Close(), replica.Close()) }()
	s.Primary.Location, s.Replica.Location = primary.Location(), replica.Location()
	from, err := replication.RoleOf(ctx, primary)
	if err == nil {
		s.Primary.stand(from)
	}
	to, replicaErr := replication.RoleOf(ctx, replica)
	if replicaErr == nil {
		s.Replica.stand(to)
	}
	if err = errors.Join(err, replicaErr); err != nil {
		return s, err
	}
	if err := replicas.Gone(ctx, pair, replica); err != nil {
		s.gone = errors.Is(err, app.ErrGone)
		if hints := fault.Hints(err); len(hints) > 0 {
			s.Next = hints[0]
		}
		return s, err
	}
	s.headless, err = headless(ctx, replicas, pair, from, to)
	if err != nil {
		if hints := fault.Hints(err); len(hints) > 0 {
			s.Next = hints[0]
		}
	}
	lag, lagErr := replication.Measure(ctx, primary, replica)
	if lagErr != nil {
		return s, errors.Join(err, lagErr)
	}
	s.Lag, s.LagSeconds = &lag, lag.Age(now).Seconds()
	if d, ok := dispersed.Of(replica); ok && err == nil {
		if err = d.MayStore(ctx); err != nil {
			s.headless, s.Next = "ROLLED BACK", "mahavishnu verify --replica "+pair.String()
		}
	}
	return s, err
}

// headless tells whether the ends of a copy, as they count themselves, leave the region
// without a primary, or with two: "" when it has one. The error says what to do.
func headless(ctx context.Context, replicas app.Replicas, pair config.RegionPair, from, to replication.Standing) (state string, err error) {
	const op = "look at copy"
	promoted := to.Role == replication.Primary && to.Noted
	switch {
	case from.Role == replication.Primary && promoted && from.Noted && from.Epoch == to.Epoch:
		return "TWO PRIMARIES", fault.New(op, pair.String(), replication.ErrTwoPrimaries,
			fmt.Sprintf("decide which one is right, and demote the other: mahavishnu replication demote %[1]s demotes region %[2]s, with --copy its copy", pair, pair.Primary))
	case from.Role == replication.Primary || promoted:
		return "", nil
	}
	cfg := replicas.Config()
	for _, other := range cfg.Backup.Replication.Regions {
		if other.Primary != pair.Primary || other == pair {
			continue
		}
		place, ok := cfg.ReplicaPlace(other.Primary, other.Secondary)
		if !ok {
			continue
		}
		if is, err := isPromoted(ctx, replicas, place.URL); err != nil {
			return "", err
		} else if is {
			return "REPLACED", fault.New(op, pair.String(), fmt.Errorf("%w: %s", replication.ErrReplaced, other),
				fmt.Sprintf("to have that one copied, name it under backup.replication.storages.%s; to go back: mahavishnu replication failback %s", pair.Primary, other))
		}
	}
	next := fmt.Sprintf("to take the demotion back: mahavishnu replication failback %[1]s; to go on: mahavishnu replicate %[1]s, then mahavishnu replication promote %[1]s", pair)
	if from.Came != replication.Demoted && to.Came == replication.Demoted {
		next = fmt.Sprintf("to make region %s the primary again, with all that its copy has: mahavishnu replication failback %s; to take the demotion back: mahavishnu replication promote %[2]s", pair.Primary, pair)
	}
	return "NO PRIMARY", fault.New(op, pair.String(), fmt.Errorf("%w: nothing can be backed up", replication.ErrNoPrimary), next)
}

// isPromoted tells whether a copy is the primary now; one that does not answer is none.
func isPromoted(ctx context.Context, replicas app.Replicas, place string) (is bool, err error) {
	be, err := replicas.Storage.Open(ctx, place)
	if err != nil {
		return false, err
	}
	s, err := replication.RoleOf(ctx, be)
	return err == nil && s.Role == replication.Primary && s.Noted, be.Close()
}

func (x *end) stand(s replication.Standing) {
	x.Role, x.Epoch, x.Since, x.By, x.Reason = s.Role, s.Epoch, s.Time, s.By, s.Reason
}

func (e *env) printCopies(all []copyStatus) {
	now := e.clock.Now()
	table := terminal.NewTable("copy", "state", "behind>", "objects>", "snapshots>", "oldest waits>", "newest copied", "to delete>")
	for _, s := range all {
		if s.Lag == nil {
			table.Row(s.Copy, s.State, "", "", "", "", "", "")
			continue
		}
		newest := ""
		if !s.Lag.Newest.IsZero() {
			newest = terminal.Moment(s.Lag.Newest.Local())
		}
		table.Row(s.Copy, s.State, terminal.Bytes(s.Lag.Bytes), terminal.Count(s.Lag.Objects), terminal.Count(s.Lag.Snapshots),
			waited(*s.Lag, now), newest, terminal.Count(s.Lag.Pending))
	}
	e.term.Printf("%s", table)
	for _, s := range all {
		e.term.Sayf("%s: from %s to %s", s.Copy, s.Primary.Location, s.Replica.Location)
		if s.Lag != nil && s.Lag.Lost > 0 {
			e.term.Warnf("%s: %s lost in the primary and kept in the copy; mend it: mahavishnu verify --repair; to let it go: docs/replication.md", s.Copy, terminal.Plural(s.Lag.Lost, "object"))
		}
	}
}

// state is one word for how a copy is.
func (s copyStatus) state() string {
	switch {
	case s.gone:
		return "GONE"
	case s.headless != "":
		return s.headless
	case s.Replica.Role == replication.Primary && s.Replica.Epoch > 0:
		return "PROMOTED"
	case s.Lag == nil:
		return "UNKNOWN"
	case s.Lag.Lost > 0:
		return "LOST"
	case s.Lag.Objects > 0:
		return "behind"
	}
	return "complete"
}
