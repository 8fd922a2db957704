package messages

import "slices"

// Kind names what a job does.
type Kind string

// The kinds of job.
const (
	KindBackup      Kind = "backup"
	KindVerify      Kind = "verify"
	KindReplicate   Kind = "replicate"
	KindRestore     Kind = "restore"
	KindRestoreTest Kind = "restore_test"
	KindDrill       Kind = "drill"
	KindForget      Kind = "forget"
	KindPrune       Kind = "prune"
	KindBaseBackup  Kind = "base_backup"
)

// Kinds lists every kind of job, in the order people read them.
func Kinds() []Kind {
	return []Kind{
		KindBackup, KindVerify, KindReplicate, KindRestore, KindRestoreTest,
		KindDrill, KindForget, KindPrune, KindBaseBackup,
	}
}

// Known reports whether k is a kind of job.
func (k Kind) Known() bool { return slices.Contains(Kinds(), k) }

// ParseKind returns the kind of that name, or a [*RefusedError] that suggests
// the nearest one.
func ParseKind(name string) (Kind, error) {
	if k := Kind(name); k.Known() {
		return k, nil
	}
	return "", refuseKind(name)
}

func refuseKind(name string) *RefusedError {
	names := kindNames()
	return &RefusedError{
		Reason:     quote(name) + " is not a kind of job; the kinds are " + list(names),
		Field:      "kind",
		Suggestion: Nearest(name, names),
	}
}

func kindNames() []string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return names
}
