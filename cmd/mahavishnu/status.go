package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/terminal"
)

type statusOptions struct {
	check bool
}

func newStatusCommand(e *env) *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "One screen: is everything recoverable, since when, who is working",
		Long: `Show on one screen whether every source can be recovered and how old its newest
snapshot is, how far the copies in other regions are, what the queue holds, and which
nodes are alive. It works with
whatever can be reached, and says what cannot.

Age is how much work would be lost now. A source is LATE when its newest snapshot is
older than its schedules promise.

In a region that is cut off from the queue it shows the queue that the region goes on
with by itself (nats.island), says so, and ends with 7.`,
		Example: "  mahavishnu status\n  mahavishnu status --check\n  mahavishnu status --json",
		Args:    takes(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), e, o) },
	}
	cmd.Flags().BoolVar(&o.check, "check", false, "for monitoring: end with 6 when a source is late or has no snapshot, with 1 when something cannot be reached")
	return exits(cmd, exitIntegrity, exitMissed, exitCutOff)
}

// statusReport is the JSON of status.
type statusReport struct {
	// CutOff is set in a region that is cut off: Queue is then its own, or missing.
	CutOff      *cutOff        `json:"cut_off,omitempty"`
	Recoverable bool           `json:"recoverable"`
	Why         []string       `json:"why"`
	Repository  string         `json:"repository"`
	RPOTarget   float64        `json:"rpo_target_seconds"`
	Sources     []sourceStatus `json:"sources"`
	// Verified is how long stored bytes have gone unverified, Doubted how many packs
	// hold blobs that a verification found damaged.
	Verified *repository.Coverage `json:"verified,omitempty"`
	Doubted  int                  `json:"doubted_packs"`
	// Holds are the sources of which nothing is forgotten; while there is one,
	// nothing is pruned.
	Holds []repository.Hold `json:"holds"`
	// Copies are those that this region makes or keeps.
	Copies []copyStatus `json:"copies"`
	Queue  *queueStatus `json:"queue,omitempty"`
	// Unreachable says what could not be looked at.
	Unreachable []string `json:"unreachable"`
}

type sourceStatus struct {
	Source    string    `json:"source"`
	State     string    `json:"state"` // ok, LATE, NONE, unscheduled
	Snapshots int       `json:"snapshots"`
	Newest    string    `json:"newest,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	Age       float64   `json:"age_seconds,omitempty"` // the recovery point now
	Size      int64     `json:"size"`
	Stored    int64     `json:"stored"`
	Next      time.Time `json:"next_backup,omitzero"`
	// Paused is the execution of a plan that lets no jobs be made for the source's
	// region; there is no next backup until it ends or is gone back from.
	Paused string `json:"paused_by,omitempty"`
}

type queueStatus struct {
	Waiting int64                `json:"waiting"`
	Running int                  `json:"running"`
	Retry   int                  `json:"retrying"`
	Failed  int                  `json:"failed_last_day"`
	Dead    uint64               `json:"dead_letters"`
	Nodes   []messages.Heartbeat `json:"nodes"`
	// Absent are the nodes that were there and are not heard now.
	Absent []messages.NodeRecord `json:"absent_nodes"`
	// Failover is what coordinators say; nil when none is alive.
	Failover *failoverReport `json:"failover,omitempty"`
}

func runStatus(ctx context.Context, e *env, o statusOptions) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	r := &statusReport{
		Copies: []copyStatus{}, Why: []string{}, Unreachable: []string{}, Sources: []sourceStatus{},
		RPOTarget: (time.Duration(cfg.DisasterRecovery.RPOTargetMinutes) * time.Minute).Seconds(),
	}
	damaged := r.lookAtRepository(ctx, e, cfg)
	if cfg.File() != "" {
		r.lookAtQueue(ctx, e)
		r.lookAtCopies(ctx, e, cfg)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	r.judge()
	e.term.Document(r)
	if !e.term.JSON {
		r.print(e)
	}
	switch {
	case damaged != nil:
		return damaged
	case r.CutOff != nil:
		return r.CutOff.err()
	case o.check && len(r.Unreachable) > 0:
		return reported{errors.New("something cannot be reached")}
	case o.check && !r.Recoverable:
		return reported{errMissed}
	}
	return nil
}

// lookAtRepository reads every snapshot: the truth, not the catalog's copy. It
// returns an error when some are damaged.
func (r *statusReport) lookAtRepository(ctx context.Context, e *env, cfg *config.Config) error {
	var snapshots []repository.Snapshot
	var damaged []error
	if access, err := e.access(); err == nil {
		r.Repository = access.Location
	}
	repo, err := e.open(ctx)
	if err == nil {
		r.Repository = repo.Backend().Location()
		snapshots, damaged, err = repo.Snapshots(ctx, "")
		if err == nil { // either may lie where nothing can be listed
			err = r.lookAtLedger(ctx, e, cfg, repo.Repository)
			var holdsErr error
			r.Holds, holdsErr = repo.Holds(ctx)
			err = errors.Join(err, holdsErr)
		}
		err = errors.Join(err, repo.Close())
	}
	if err != nil {
		r.Unreachable = append(r.Unreachable, err.Error())
	}
	r.Holds = nonNil(r.Holds)
	r.Sources = sourcesOf(cfg, snapshots, e.clock.Now())
	for _, one := range damaged {
		r.Why = append(r.Why, one.Error())
	}
	return e.damagedSnapshots(damaged)
}

// lookAtLedger learns how long stored bytes have gone unverified.
func (r *statusReport) lookAtLedger(ctx context.Context, e *env, cfg *config.Config, repo *repository.Repository) error {
	now := e.clock.Now()
	l, err := repo.Ledger(ctx, now)
	if err != nil {
		return err
	}
	c := repo.Coverage(l, now, cfg.Backup.Validation.MaxUnverifiedAge.Std())
	r.Verified, r.Doubted = &c, repo.Doubts()
	return nil
}

// sourcesOf tells of every source that is configured or has snapshots.
func sourcesOf(cfg *config.Config, snapshots []repository.Snapshot, now time.Time) []sourceStatus {
	all := map[string]*sourceStatus{}
	for name := range cfg.Sources {
		all[name] = &sourceStatus{Source: name, State: "NONE"}
	}
	for _, s := range snapshots { // ordered by time within a source
		status, ok := all[s.Source]
		if !ok {
			status = &sourceStatus{Source: s.Source}
			all[s.Source] = status
		}
		status.Snapshots++
		status.Stored += s.Totals.Cost()
		status.Newest, status.Time, status.Size = s.ID, s.Time, s.Totals.Bytes
		status.Age = now.Sub(s.Time).Seconds()
		status.State = "unscheduled"
	}
	for name, span := range promises(cfg, now) {
		status, ok := all[name]
		if !ok {
			continue
		}
		status.Next = span.next
		switch {
		case status.Snapshots == 0:
		case now.Sub(status.Time) > span.between+span.between/2:
			status.State = "LATE"
		default:
			status.State = "ok"
		}
	}
	var list []sourceStatus
	for _, name := range sortedKeys(all) {
		list = append(list, *all[name])
	}
	return nonNil(list)
}

// promise is when a source is backed up next, and how far apart its backups
// are at most.
type promise struct {
	next    time.Time
	between time.Duration
}

// promises works out what the schedules promise each source: the shortest of
// their intervals, and the earliest of their next slots.
func promises(cfg *config.Config, now time.Time) map[string]promise {
	all := map[string]promise{}
	for _, s := range cfg.Schedules() {
		if s.Kind != config.KindBackup || s.Policy.Paused {
			continue
		}
		zone, zoneErr := time.LoadLocation(s.Policy.Timezone)
		cron, cronErr := config.ParseCron(s.Cron)
		if zoneErr != nil || cronErr != nil {
			continue // the configuration was checked when it was loaded
		}
		next := cron.Next(now.In(zone))
		between := cron.Next(next).Sub(next)
		for _, source := range s.Sources {
			p, ok := all[source]
			if !ok || next.Before(p.next) {
				p.next = next
			}
			if !ok || between < p.between {
				p.between = between
			}
			all[source] = p
		}
	}
	return all
}

// judge answers the one question: is everything recoverable, and if not, why.
func (r *statusReport) judge() {
	for _, s := range r.Sources {
		switch s.State {
		case "NONE":
			r.Why = append(r.Why, terminal.Name(s.Source)+" has no snapshot; back it up: mahavishnu backup "+s.Source)
		case "LATE":
			age := time.Duration(s.Age * float64(time.Second))
			text := terminal.Name(s.Source) + " was last backed up " + terminal.Duration(age) + " ago, which is late"
			if s.Paused != "" {
				text += ": no jobs are made for its region; see: mahavishnu failover journal " + s.Paused
			} else {
				text += "; see: mahavishnu jobs list --source " + s.Source
			}
			r.Why = append(r.Why, text)
		}
	}
	r.Recoverable = len(r.Why) == 0 && len(r.Unreachable) == 0
}
