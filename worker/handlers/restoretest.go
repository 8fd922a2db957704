package handlers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mahavishnu/fault"
	"mahavishnu/messages"
	"mahavishnu/repository"
	"mahavishnu/snapshot"
	"mahavishnu/worker"
)

// maxDifferences bounds what is told of one test.
const maxDifferences = 20

// RestoreTestResult is what a restore test leaves in its record.
type RestoreTestResult struct {
	Tests  []RestoreTest `json:"tests"`
	Failed int           `json:"failed"`
}

// RestoreTest is one snapshot, restored and compared.
type RestoreTest struct {
	Source   string    `json:"source"`
	Snapshot string    `json:"snapshot,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	Passed   bool      `json:"passed"`
	// Error is why the test could not be finished, or what it found.
	Error string `json:"error,omitempty"`
	// Entries and bytes that were restored and compared.
	Files  int64 `json:"files"`
	Dirs   int64 `json:"dirs"`
	Others int64 `json:"others,omitempty"`
	Bytes  int64 `json:"bytes"`
	// Differences from the snapshot: the first of them. MetadataLost counts
	// entries with owners or attributes that the worker's user may not set.
	Differences      []snapshot.Change `json:"differences,omitempty"`
	DifferencesTotal int64             `json:"differences_total"`
	MetadataLost     int64             `json:"metadata_lost,omitempty"`
	// Sample is the comparison with the live source, when one was asked for.
	Sample *SampleResult `json:"sample,omitempty"`
	// RTOMillis is how long it took until the files were back, from nothing
	// but storage and key: opening the repository and restoring.
	RTOMillis int64 `json:"rto_ms"`
	// RPOMillis is the age of the snapshot: what a disaster now would cost.
	RPOMillis     int64 `json:"rpo_ms"`
	CompareMillis int64 `json:"compare_ms"`
}

// restoreTest restores snapshots to staging, compares every byte and removes
// them again.
type restoreTest struct {
	Setup
	staging *staging
}

// Check implements worker.Handler.
func (h *restoreTest) Check(messages.Job) error { return nil }

// Run implements worker.Handler.
func (h *restoreTest) Run(ctx context.Context, t *worker.Task) (_ any, err error) {
	spec := t.Job.Spec.(*messages.RestoreTestSpec)
	if err := h.staging.sweep(); err != nil {
		return nil, err
	}
	begin := h.Clock.Now()
	repo, closeRepo, err := h.open(ctx, t.Job, false)
	if err != nil {
		return nil, err
	}
	defer closing(closeRepo, &err)
	done, err := h.reading(ctx, repo)
	if err != nil {
		return nil, err
	}
	defer closing(done, &err)
	opening := h.Clock.Now().Sub(begin)
	refs, err := h.subjects(ctx, repo, spec, h.regionOf(t.Job))
	if err != nil {
		return nil, err
	}
	var result RestoreTestResult
	for _, s := range refs {
		test, err := h.test(ctx, repo, t, s, opening)
		if err != nil {
			return result, err
		}
		if !test.Passed {
			result.Failed++
		}
		result.Tests = append(result.Tests, test)
	}
	if result.Failed > 0 {
		return result, worker.Discard(fault.New("restore test of", failedSources(result.Tests), errors.New(firstFailure(result.Tests)), ""))
	}
	return result, nil
}

// subject is a snapshot to be tested, by reference.
type subject struct{ source, ref string }

// subjects are the snapshot the job names, or the newest one of each source:
// the one it names, or all that are configured here or have snapshots.
func (h *restoreTest) subjects(ctx context.Context, repo *repository.Repository, spec *messages.RestoreTestSpec, region string) ([]subject, error) {
	if spec.Snapshot != "" {
		snap, err := find(ctx, repo, spec.Snapshot, spec.Source)
		return []subject{{snap.Source, snap.ID}}, err
	}
	stored, _, err := repo.Snapshots(ctx, spec.Source) // a damaged one comes to light when it is the newest
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, s := range stored {
		names[s.Source] = true
	}
	configured := h.Settings().Sources
	for name, src := range configured {
		if spec.Source == name || spec.Source == "" && (src.Region == "" || src.Region == region) {
			names[name] = true
		}
	}
	if len(names) == 0 && spec.Source != "" {
		return nil, unknownSource(spec.Source, slices.Sorted(maps.Keys(configured)))
	}
	var all []subject
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, subject{name, "latest:" + name})
	}
	return all, nil
}

// test does one snapshot. Its error is about the worker; what is wrong with
// the backup is in the result.
func (h *restoreTest) test(ctx context.Context, repo *repository.Repository, t *worker.Task, s subject, opening time.Duration) (test RestoreTest, err error) {
	begin := h.Clock.Now()
	test.Source = s.source
	snap, err := repo.FindSnapshot(ctx, s.ref)
	switch {
	case errors.Is(err, repository.ErrNoSnapshot):
		test.Error = "there is no snapshot: the source was never backed up"
		return test, nil
	case errors.Is(err, repository.ErrDamaged):
		test.Error = err.Error()
		return test, nil
	case err != nil:
		return test, err
	}
	test.Snapshot, test.Time = snap.ID, snap.Time
	test.RPOMillis = millis(max(begin.Sub(snap.Time), 0))
	target, release, err := h.staging.takeTest(t.Job.ID, s.source, t.Attempt)
	if err != nil {
		return test, err
	}
	defer closing(release, &err)
	report, err := snapshot.Restore(ctx, repo, snap, snapshot.RestoreOptions{Target: target, Progress: progress{t.Meter}, Clock: h.Clock})
	restored := h.Clock.Now()
	test.RTOMillis, test.MetadataLost = millis(opening+restored.Sub(begin)), report.Lost
	switch {
	case errors.Is(err, repository.ErrDamaged):
		test.Error = err.Error()
		return test, nil
	case err != nil && !errors.Is(err, snapshot.ErrIncomplete): // that shows in the comparison
		return test, err
	}
	if err := h.compare(ctx, repo, snap, target, t, &test); err != nil {
		return test, err
	}
	if err := h.sample(ctx, t, target, &test); err != nil {
		return test, err
	}
	test.CompareMillis = millis(h.Clock.Now().Sub(restored))
	test.judge()
	return test, nil
}

// compare compares every byte of what was restored with the snapshot.
func (h *restoreTest) compare(ctx context.Context, repo *repository.Repository, snap repository.Snapshot, target string, t *worker.Task, test *RestoreTest) error {
	report, err := snapshot.Compare(ctx, repo, snap, target, snapshot.CompareOptions{Progress: progress{t.Meter}}, func(c snapshot.Change) error {
		if test.MetadataLost > 0 && onlyPrivileged(c) {
			return nil
		}
		test.DifferencesTotal++
		if len(test.Differences) < maxDifferences {
			c.Path = snapshot.Printable(c.Path)
			test.Differences = append(test.Differences, c)
		}
		return nil
	})
	test.Files, test.Dirs, test.Others, test.Bytes = report.Files, report.Dirs, report.Others, report.Bytes
	return err
}

// onlyPrivileged reports whether a difference is one that a user other than
// root cannot avoid, and that the restore has told of.
func onlyPrivileged(c snapshot.Change) bool {
	return c.Op == snapshot.Altered && len(c.What) > 0 && !slices.ContainsFunc(c.What, func(what string) bool {
		return what != "owner" && what != "attributes"
	})
}

// sample compares a share of the files with the live source.
func (h *restoreTest) sample(ctx context.Context, t *worker.Task, target string, test *RestoreTest) error {
	share := t.Job.Spec.(*messages.RestoreTestSpec).Sample
	src, ok := h.Settings().Sources[test.Source]
	if share <= 0 || !ok || !h.reads(src) {
		return nil
	}
	s := sampler{restored: target, live: src.Path, share: share, seed: t.Job.ID}
	var err error
	test.Sample, err = s.run(ctx)
	return err
}

// judge decides whether the test passed.
func (t *RestoreTest) judge() {
	switch {
	case t.DifferencesTotal > 0:
		first := t.Differences[0]
		t.Error = fmt.Sprintf("%d entries differ from the snapshot, the first: %s is %s", t.DifferencesTotal, first.Path, first.Op)
		if len(first.What) > 0 {
			t.Error += " (" + strings.Join(first.What, ", ") + ")"
		}
	case t.Sample != nil && t.Sample.DifferentTotal > 0:
		t.Error = fmt.Sprintf("%d files have the size and time of the source's and other content, the first: %s", t.Sample.DifferentTotal, t.Sample.Different[0])
	default:
		t.Passed = true
	}
}

func failedSources(tests []RestoreTest) string {
	var names []string
	for _, t := range tests {
		if !t.Passed {
			names = append(names, t.Source)
		}
	}
	return sample(names, 5)
}

func firstFailure(tests []RestoreTest) string {
	i := slices.IndexFunc(tests, func(t RestoreTest) bool { return !t.Passed })
	return tests[i].Error
}
