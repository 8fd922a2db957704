package config

// Which region's workers copy.
const (
	RunInSecondary = "secondary"
	RunInPrimary   = "primary"
)

// Replication copies repositories to other regions, as they are: without a key,
// without opening anything.
type Replication struct {
	// Whether backups are copied to other regions.
	Enabled bool `yaml:"enabled"`
	// Which region is copied to which.
	Regions []RegionPair `yaml:"regions" reload:"restart"`
	// Where each region keeps its repository, by the region's name, as the machines
	// of every region reach it. A region that is not named here keeps it where
	// backup.storage says; only its own machines can then copy from or to it.
	Storages map[string]RegionStorage `yaml:"storages" reload:"restart"`
	// Which region's workers copy: "secondary" (they need only to read from the
	// primary, which needs no right to the copies) or "primary" (for a primary whose
	// storage nobody else can reach, such as its disk).
	RunIn string `yaml:"run_in"`
	// How often is looked what is not copied yet, beside after each backup: this
	// is how a region catches up after an outage. It divides an hour or a day.
	Interval Duration `yaml:"interval"`
	// How many days an object that was deleted in the primary stays in the copy.
	// While a source is held nothing is deleted at all. 0 deletes at the next
	// run.
	DeleteAfterDays int `yaml:"delete_after_days"`
	// Into how many jobs one run of copying is split, so that several workers share
	// it.
	Shards int `yaml:"shards"`
	// How many percent of what is in the copy already each run reads back and
	// checks. What is copied is always checked on arrival.
	VerifyShare int `yaml:"verify_share"`
}

// RegionPair is one direction of replication.
type RegionPair struct {
	// The region whose backups are copied.
	Primary string `yaml:"primary"`
	// The region that receives the copies; another one than primary.
	Secondary string `yaml:"secondary"`
}

// RegionStorage is where a region keeps its repository. Exactly one kind is
// enabled.
type RegionStorage struct {
	// The storage as one URL: "s3://bucket/prefix?region=eu-central-1". Secrets come
	// from the section of its kind.
	URL string `yaml:"url"`
	// A directory, as in backup.storage.
	Local LocalStorage `yaml:"local" see:"backup.storage.local"`
	// S3, as in backup.storage.
	S3 S3Storage `yaml:"s3" see:"backup.storage.s3"`
	// Azure, as in backup.storage.
	AzureBlob AzureBlobStorage `yaml:"azure_blob" see:"backup.storage.azure_blob"`
	// Google, as in backup.storage.
	GCS GCSStorage `yaml:"gcs" see:"backup.storage.gcs"`
	// Several storages, as in backup.storage.
	Disperse DisperseStorage `yaml:"disperse" see:"backup.storage.disperse"`
	// Where the region keeps copies of other regions' repositories, one folder for
	// each. Nothing given: in the folder "replicas" of its own storage.
	Replicas ReplicaStorage `yaml:"replicas"`
}

// ReplicaStorage is where a region keeps copies of other regions' repositories. At
// most one kind is enabled.
type ReplicaStorage struct {
	// For how many days the storage keeps copies from being deleted or replaced, by whoever
	// has its credentials. Each run of copying extends it, half-way through, for what is not
	// deleted in the primary. -1, which is meant when nothing is given: as long as
	// backup.storage.immutable_days says, where this storage can. 0: not at all.
	ImmutableDays int `yaml:"immutable_days"`
	// The storage as one URL. Secrets come from the section of its kind.
	URL string `yaml:"url"`
	// A directory, as in backup.storage.
	Local LocalStorage `yaml:"local" see:"backup.storage.local"`
	// S3, as in backup.storage.
	S3 S3Storage `yaml:"s3" see:"backup.storage.s3"`
	// Azure, as in backup.storage.
	AzureBlob AzureBlobStorage `yaml:"azure_blob" see:"backup.storage.azure_blob"`
	// Google, as in backup.storage.
	GCS GCSStorage `yaml:"gcs" see:"backup.storage.gcs"`
}
