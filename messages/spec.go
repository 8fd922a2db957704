package messages

import (
	"encoding/json"
	"fmt"
)

// Spec is what one kind of job is asked to do. The implementations are the
// pointers to the Spec structs of this package.
type Spec interface {
	// Kind is the kind of job that carries this spec.
	Kind() Kind
	// check returns the first thing wrong with the values, or nil.
	check() *RefusedError
}

// NewSpec returns an empty spec of a kind, to be filled in; nil when unknown.
func NewSpec(k Kind) Spec {
	switch k {
	case KindBackup:
		return &BackupSpec{}
	case KindVerify:
		return &VerifySpec{}
	case KindReplicate:
		return &ReplicateSpec{}
	case KindRestore:
		return &RestoreSpec{}
	case KindRestoreTest:
		return &RestoreTestSpec{}
	case KindDrill:
		return &DrillSpec{}
	case KindForget:
		return &ForgetSpec{}
	case KindPrune:
		return &PruneSpec{}
	case KindBaseBackup:
		return &BaseBackupSpec{}
	}
	return nil
}

// BackupType is how a backup reads its source.
type BackupType string

// The backup types; see the engine's rules.
const (
	BackupIncremental BackupType = "incremental"
	BackupFull        BackupType = "full"
	BackupArchival    BackupType = "archival"
)

// BackupSpec asks for a snapshot of a configured source.
type BackupSpec struct {
	Source  string     `json:"source" jsonschema:"required" jsonschema_description:"Name of the source in the configuration."`
	Type    BackupType `json:"type,omitempty" jsonschema:"enum=incremental,enum=full,enum=archival,default=incremental" jsonschema_description:"incremental trusts metadata, full reads every byte, archival is a full one at high compression with its own packs."`
	Tags    []string   `json:"tags,omitempty" jsonschema_description:"Tags of the snapshot."`
	Exclude []string   `json:"exclude,omitempty" jsonschema_description:"Exclude rules in gitignore style, added to the source's own."`
}

// VerifySpec asks for a check of stored backups.
type VerifySpec struct {
	Source   string  `json:"source,omitempty" jsonschema_description:"Only snapshots of this source; all sources when left out."`
	Snapshot string  `json:"snapshot,omitempty" jsonschema_description:"Only this snapshot: an id, a unique prefix, latest or latest:SOURCE."`
	ReadData float64 `json:"read_data,omitempty" jsonschema:"minimum=0,maximum=100" jsonschema_description:"Percentage of the stored data to read and check; 0 checks structure only."`
	New      bool    `json:"new,omitempty" jsonschema_description:"With a snapshot: read everything that its backup stored, and check of the structure only what the snapshot needs."`
	Oldest   int64   `json:"oldest,omitempty" jsonschema:"minimum=0" jsonschema_description:"Also read as many bytes of what has gone unverified for longest."`
	// OlderThanDays keeps runs in a row from reading the same again.
	OlderThanDays float64 `json:"older_than_days,omitempty" jsonschema:"minimum=0" jsonschema_description:"With oldest: only what was not verified in as many days."`
	Repair        bool    `json:"repair,omitempty" jsonschema_description:"Write back what can be mended."`
}

// ReplicateSpec asks for a region's repository to be copied to the place where
// another region keeps its copy of it.
type ReplicateSpec struct {
	From string `json:"from" jsonschema:"required" jsonschema_description:"Region whose repository is copied."`
	To   string `json:"to" jsonschema:"required" jsonschema_description:"Region that keeps the copy."`
	// Shard counts from 0. All shards together are one round; the one that ends
	// last makes what was copied visible.
	Shard  int `json:"shard,omitempty" jsonschema:"minimum=0" jsonschema_description:"Which share of the packs this job copies, from 0."`
	Shards int `json:"shards,omitempty" jsonschema:"minimum=0,maximum=256" jsonschema_description:"Into how many shares the packs are divided; 1 when left out."`
	// Force is a person's word that the primary is right.
	Force bool `json:"force,omitempty" jsonschema_description:"Believe the primary although most of what it had is gone from it."`
}

// RestoreSpec asks for a snapshot to be written into a staging directory of
// the worker that takes the job.
type RestoreSpec struct {
	Snapshot  string   `json:"snapshot" jsonschema:"required" jsonschema_description:"An id, a unique prefix, latest or latest:SOURCE."`
	Source    string   `json:"source,omitempty" jsonschema_description:"The source the snapshot must be of, as a safeguard."`
	Target    string   `json:"target" jsonschema:"required" jsonschema_description:"Name of a directory below the worker's staging directory."`
	Include   []string `json:"include,omitempty" jsonschema_description:"Only these paths, gitignore style."`
	Exclude   []string `json:"exclude,omitempty" jsonschema_description:"Not these paths, gitignore style."`
	Overwrite string   `json:"overwrite,omitempty" jsonschema:"enum=never-newer,enum=always,enum=never,enum=if-changed,default=never-newer" jsonschema_description:"What happens to a file that is already there."`
	Delete    bool     `json:"delete,omitempty" jsonschema_description:"Delete what is in the target and not in the snapshot."`
	DryRun    bool     `json:"dry_run,omitempty" jsonschema_description:"Report what would be written, write nothing."`
	Verify    *bool    `json:"verify,omitempty" jsonschema_description:"Read back and compare what was written; as the worker is configured when left out."`
}

// RestoreTestSpec asks for a restore into staging, compared and thrown away.
type RestoreTestSpec struct {
	Source   string  `json:"source,omitempty" jsonschema_description:"Test the newest snapshot of this source; of every source when left out."`
	Snapshot string  `json:"snapshot,omitempty" jsonschema_description:"Test this snapshot instead of the newest."`
	Sample   float64 `json:"sample,omitempty" jsonschema:"minimum=0,maximum=100" jsonschema_description:"Percentage of files also compared with the live source."`
}

// DrillSpec asks for a disaster to be rehearsed.
type DrillSpec struct {
	Scenario string `json:"scenario" jsonschema:"required" jsonschema_description:"The scenario to rehearse, such as single_server_failure."`
	Live     bool   `json:"live,omitempty" jsonschema_description:"On the live system instead of a sandbox; needs an approval."`
}

// ForgetSpec asks for the retention policy to be applied.
type ForgetSpec struct {
	Source    string   `json:"source,omitempty" jsonschema_description:"Only snapshots of this source; all sources when left out."`
	Snapshots []string `json:"snapshots,omitempty" jsonschema_description:"Exactly these snapshots, where the policy lets them go."`
	DryRun    bool     `json:"dry_run,omitempty" jsonschema_description:"Report what would be forgotten, forget nothing."`
}

// PruneSpec asks for unreferenced data to be removed from storage.
type PruneSpec struct {
	DryRun    bool     `json:"dry_run,omitempty" jsonschema_description:"Report what would be removed, remove nothing."`
	Reseal    bool     `json:"reseal,omitempty" jsonschema_description:"Also seal anew what older versions of the key have sealed."`
	MaxUnused *float64 `json:"max_unused,omitempty" jsonschema:"minimum=0,maximum=100" jsonschema_description:"Percentage of what is stored that may be left unused; the configuration's when left out."`
}

// BaseBackupSpec asks for a base backup of a configured PostgreSQL cluster.
type BaseBackupSpec struct {
	Source string   `json:"source" jsonschema:"required" jsonschema_description:"Name of the PostgreSQL cluster in the configuration."`
	Tags   []string `json:"tags,omitempty" jsonschema_description:"Tags of the backup."`
}

// Kind implements [Spec].
func (*BackupSpec) Kind() Kind { return KindBackup }

// Kind implements [Spec].
func (*VerifySpec) Kind() Kind { return KindVerify }

// Kind implements [Spec].
func (*ReplicateSpec) Kind() Kind { return KindReplicate }

// Kind implements [Spec].
func (*RestoreSpec) Kind() Kind { return KindRestore }

// Kind implements [Spec].
func (*RestoreTestSpec) Kind() Kind { return KindRestoreTest }

// Kind implements [Spec].
func (*DrillSpec) Kind() Kind { return KindDrill }

// Kind implements [Spec].
func (*ForgetSpec) Kind() Kind { return KindForget }

// Kind implements [Spec].
func (*PruneSpec) Kind() Kind { return KindPrune }

// Kind implements [Spec].
func (*BaseBackupSpec) Kind() Kind { return KindBaseBackup }

// SourceOf returns the source a spec names, or "".
func SourceOf(s Spec) string {
	switch s := s.(type) {
	case *BackupSpec:
		return s.Source
	case *VerifySpec:
		return s.Source
	case *RestoreSpec:
		return s.Source
	case *RestoreTestSpec:
		return s.Source
	case *ForgetSpec:
		return s.Source
	case *BaseBackupSpec:
		return s.Source
	}
	return ""
}

func decodeSpec(k Kind, data []byte) (Spec, error) {
	s := NewSpec(k)
	if s == nil {
		return nil, fmt.Errorf("kind %q is not known to this version", k)
	}
	if len(data) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("spec of a %s job: %w", k, err)
	}
	return s, nil
}
