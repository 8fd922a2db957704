package messages

import (
	"fmt"
	"strings"
	"unicode"
)

const (
	maxText = 256
	maxList = 1024
	// maxShards is how many jobs may share the copying of one repository.
	maxShards = 256
)

func (s *BackupSpec) check() *RefusedError {
	return first(
		required("source", s.Source), text("source", s.Source),
		oneOf("type", string(s.Type), string(BackupIncremental), string(BackupFull), string(BackupArchival)),
		texts("tags", s.Tags), texts("exclude", s.Exclude),
	)
}

func (s *VerifySpec) check() *RefusedError {
	return first(
		text("source", s.Source), text("snapshot", s.Snapshot), percent("read_data", s.ReadData),
		notNegative("oldest", float64(s.Oldest)), notNegative("older_than_days", s.OlderThanDays), s.checkNew(),
	)
}

func (s *VerifySpec) checkNew() *RefusedError {
	if !s.New || s.Snapshot != "" {
		return nil
	}
	return &RefusedError{Reason: `"new" needs a snapshot: what is new is what its backup stored`, Field: "new", Hint: `add "snapshot": "latest"`}
}

func (s *ReplicateSpec) check() *RefusedError {
	return first(
		required("to", s.To), name("to", s.To), required("from", s.From), name("from", s.From),
		notNegative("shard", float64(s.Shard)), notNegative("shards", float64(s.Shards)), s.checkPlace(), s.checkShard(),
	)
}

func (s *ReplicateSpec) checkPlace() *RefusedError {
	if s.From != s.To {
		return nil
	}
	return &RefusedError{Reason: "\"to\" is the region " + quote(s.To) + " that is copied from: a copy belongs elsewhere", Field: "to"}
}

func (s *ReplicateSpec) checkShard() *RefusedError {
	switch {
	case s.Shards > maxShards:
		return &RefusedError{Reason: fmt.Sprintf("%q is %d; at most %d are taken", "shards", s.Shards, maxShards), Field: "shards"}
	case s.Shard >= max(s.Shards, 1):
		return &RefusedError{
			Reason: fmt.Sprintf("there is no shard %d of %d", s.Shard, max(s.Shards, 1)), Field: "shard",
			Hint: "shards count from 0",
		}
	}
	return nil
}

func (s *RestoreSpec) check() *RefusedError {
	return first(
		required("snapshot", s.Snapshot), text("snapshot", s.Snapshot), text("source", s.Source),
		required("target", s.Target), name("target", s.Target),
		texts("include", s.Include), texts("exclude", s.Exclude),
		oneOf("overwrite", s.Overwrite, "never-newer", "always", "never", "if-changed"),
	)
}

func (s *RestoreTestSpec) check() *RefusedError {
	return first(text("source", s.Source), text("snapshot", s.Snapshot), percent("sample", s.Sample))
}

func (s *DrillSpec) check() *RefusedError {
	return first(required("scenario", s.Scenario), name("scenario", s.Scenario))
}

func (s *ForgetSpec) check() *RefusedError {
	return first(text("source", s.Source), texts("snapshots", s.Snapshots))
}

func (s *PruneSpec) check() *RefusedError {
	if s.MaxUnused == nil {
		return nil
	}
	return percent("max_unused", *s.MaxUnused)
}

func (s *BaseBackupSpec) check() *RefusedError {
	return first(required("source", s.Source), text("source", s.Source), texts("tags", s.Tags))
}

func first(all ...*RefusedError) *RefusedError {
	for _, e := range all {
		if e != nil {
			return e
		}
	}
	return nil
}

func required(field, value string) *RefusedError {
	if value != "" {
		return nil
	}
	return &RefusedError{Reason: "the field " + quote(field) + " is missing, and this job needs it", Field: field}
}

func text(field, value string) *RefusedError {
	if len(value) > maxText {
		return &RefusedError{Reason: fmt.Sprintf("the value of %q is %d bytes long; at most %d are taken", field, len(value), maxText), Field: field}
	}
	if strings.ContainsFunc(value, unicode.IsControl) {
		return &RefusedError{Reason: "the value of " + quote(field) + " holds a control character", Field: field}
	}
	return nil
}

func texts(field string, values []string) *RefusedError {
	if len(values) > maxList {
		return &RefusedError{Reason: fmt.Sprintf("%q has %d entries; at most %d are taken", field, len(values), maxList), Field: field}
	}
	for _, v := range values {
		if v == "" {
			return &RefusedError{Reason: quote(field) + " has an empty entry", Field: field}
		}
		if e := text(field, v); e != nil {
			return e
		}
	}
	return nil
}

func name(field, value string) *RefusedError {
	if ValidName(value) {
		return nil
	}
	return &RefusedError{
		Reason: "the value " + quote(value) + " of " + quote(field) + " is not a name: 1 to 64 letters, digits, '-' and '_', starting with a letter or digit",
		Field:  field,
	}
}

func oneOf(field, value string, allowed ...string) *RefusedError {
	if value == "" {
		return nil
	}
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return &RefusedError{
		Reason:     "the value " + quote(value) + " of " + quote(field) + " is not one of " + list(allowed),
		Field:      field,
		Suggestion: Nearest(value, allowed),
	}
}

func notNegative(field string, value float64) *RefusedError {
	if value >= 0 {
		return nil
	}
	return &RefusedError{Reason: fmt.Sprintf("%q is %v; it cannot be less than 0", field, value), Field: field}
}

func percent(field string, value float64) *RefusedError {
	if value >= 0 && value <= 100 {
		return nil
	}
	return &RefusedError{Reason: fmt.Sprintf("%q is %v; it is a percentage from 0 to 100", field, value), Field: field}
}
