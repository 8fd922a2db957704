package config

// Whether jobs make a repository where there is none.
const (
	CreateAuto  = "auto"
	CreateNever = "never"
)

// Storage says where the repository's objects are kept. Exactly one kind of
// storage is enabled.
type Storage struct {
	// Whether the first backup makes the repository: "auto" or "never". A worker
	// whose disk or share is not mounted would make a new one in its place.
	// A machine that has seen the repository before refuses that by itself, and so
	// does every worker of a region that the queue knows a repository of. With
	// "never" no job makes one: only a person does, with `mahavishnu backup --direct`.
	Create string `yaml:"create"`
	// The storage as one URL, as --repository takes it, in place of the sections
	// below: "s3://bucket/prefix?region=eu-central-1". It holds no secret; those come
	// from the section of its kind, which stays off, or from the environment.
	URL string `yaml:"url"`
	// For how many days the storage keeps what is stored from being deleted or replaced, by
	// whoever has its credentials: snapshots and the packs that hold their data. Half-way
	// through, a prune extends it for what snapshots still need. S3 needs object_lock, Azure
	// immutability, Google retention; in a directory only this program is kept from deleting.
	// What is forgotten takes up space until then. 0: not at all.
	ImmutableDays int `yaml:"immutable_days"`
	// A directory of this machine, or one mounted on it. On unless another storage
	// is.
	Local LocalStorage `yaml:"local"`
	// Amazon S3 and what speaks its protocol.
	S3 S3Storage `yaml:"s3"`
	// Azure Blob Storage.
	AzureBlob AzureBlobStorage `yaml:"azure_blob"`
	// Google Cloud Storage.
	GCS GCSStorage `yaml:"gcs"`
	// Several storages in different places, over which every object is spread.
	Disperse DisperseStorage `yaml:"disperse"`
	// How much of the network and of the storage this machine uses.
	Limits StorageLimits `yaml:"limits"`
	// How often a request is repeated that failed for a passing reason.
	Retries StorageRetries `yaml:"retries"`
}

// LocalStorage keeps the repository in a directory.
type LocalStorage struct {
	// Whether the repository is kept in a directory.
	Enabled bool `yaml:"enabled"`
	// The directory; made when missing. Backups written to the disk they protect
	// die with it: use another disk, a mounted share, or replicate.
	Path string `yaml:"path"`
	// Whether a repository that is made there keeps parity: about 11 % more space
	// for large backups and up to twice for small ones, with which damaged sectors, files cut off and files lost are mended, by reading
	// and for good by `mahavishnu verify --repair`. Turn it off where the storage
	// mends itself (RAID with checksums, ZFS with redundancy, an erasure-coded share). It
	// is decided when the repository is made; changing it later changes nothing.
	Parity bool `yaml:"parity"`
}

// S3Storage keeps the repository in a bucket. Without access_key and secret_key
// the usual chain of the AWS tools is asked: the environment (AWS_...), the
// profile, web identity, the role of the machine or the container.
type S3Storage struct {
	// Whether the repository is kept in S3.
	Enabled bool `yaml:"enabled"`
	// The name of the bucket, which must exist.
	Bucket string `yaml:"bucket"`
	// The bucket's region, as AWS names it. Empty: what the environment or the
	// profile says.
	Region string `yaml:"region"`
	// What every object's name starts with, ending in "/". Empty: the whole bucket
	// is ours.
	Prefix string `yaml:"prefix"`
	// The server's URL, for anything but Amazon's own, or for a private endpoint:
	// "https://s3.example.com". TLS 1.3 is required unless the server is this
	// machine. Empty: Amazon's for the region.
	Endpoint string `yaml:"endpoint"`
	// Whether the bucket is named in the path and not in the host's name even at
	// Amazon. Other servers are always asked so.
	PathStyle bool `yaml:"path_style"`
	// The storage class of new objects, such as "STANDARD_IA" or
	// "INTELLIGENT_TIERING". Empty: the bucket's default.
	Class string `yaml:"class"`
	// The class of objects that are hardly ever read, the packs of data: "GLACIER_IR",
	// "GLACIER" or "DEEP_ARCHIVE". Restores from the last two have to wait for
	// hours. Empty: the same class as all others.
	ColdClass string `yaml:"cold_class"`
	// Encryption by the server, beside ours: "s3" (AES256), "kms", "kms-dsse", or "customer"
	// with a key that the server does not keep. Empty: the bucket's default.
	ServerSideEncryption string `yaml:"server_side_encryption"`
	// The key of the server's key service, for "kms" and "kms-dsse". Empty: the account's own.
	KMSKey string `yaml:"kms_key"`
	// A file that holds the key for "customer": 32 bytes in base64. Without it nothing
	// can be read any more.
	CustomerKeyFile string `yaml:"customer_key_file"`
	// How objects that are to be kept for a time are locked: "governance" (who has
	// the right may lift it), "compliance" (nobody may) or empty for not at all. The bucket
	// must have Object Lock switched on.
	ObjectLock string `yaml:"object_lock"`
	// The id of an access key; needs secret_key.
	AccessKey Secret `yaml:"access_key" env:"MAHAVISHNU_S3_ACCESS_KEY"`
	// A file that holds the access key's id, mode 0640 or stricter.
	AccessKeyFile string `yaml:"access_key_file" env:"MAHAVISHNU_S3_ACCESS_KEY_FILE"`
	// The access key's secret. Prefer secret_key_file, or the environment.
	SecretKey Secret `yaml:"secret_key" env:"MAHAVISHNU_S3_SECRET_KEY"`
	// A file that holds the access key's secret, mode 0640 or stricter.
	SecretKeyFile string `yaml:"secret_key_file" env:"MAHAVISHNU_S3_SECRET_KEY_FILE"`
	// The token that goes with a temporary access key.
	SessionToken Secret `yaml:"session_token" env:"MAHAVISHNU_S3_SESSION_TOKEN"`
	// A file that holds the session token, mode 0640 or stricter.
	SessionTokenFile string `yaml:"session_token_file" env:"MAHAVISHNU_S3_SESSION_TOKEN_FILE"`
	// The profile in the files of the AWS tools that credentials are taken from.
	Profile string `yaml:"profile"`
	// The ARN of a role to assume with the credentials found.
	Role string `yaml:"role"`
	// A proxy that requests go through, as "http://host:port", or "direct" for none.
	// Empty: what the environment says (HTTPS_PROXY, NO_PROXY).
	Proxy string `yaml:"proxy"`
	// Certificates that are trusted beside the system's, as a PEM file.
	CAFile string `yaml:"ca_file"`
}

// AzureBlobStorage keeps the repository in a container. Without account_key and
// sas the usual chain of the Azure tools is asked: the environment (AZURE_...),
// workload identity, managed identity, the command line tool's login.
type AzureBlobStorage struct {
	// Whether the repository is kept in Azure.
	Enabled bool `yaml:"enabled"`
	// The container's name; it must exist.
	Container string `yaml:"container"`
	// What every object's name starts with, ending in "/". Empty: the whole
	// container is ours.
	Prefix string `yaml:"prefix"`
	// The storage account. Empty: the one that the endpoint or the environment names.
	Account string `yaml:"account"`
	// The server's URL, for another cloud or a private endpoint. TLS 1.3 is required
	// unless the server is this machine. Empty:
	// "https://ACCOUNT.blob.core.windows.net".
	Endpoint string `yaml:"endpoint"`
	// The tier of new objects: "Hot", "Cool" or "Cold". Empty: the account's default.
	Tier string `yaml:"tier"`
	// The tier of objects that are hardly ever read, the packs of data: "Cool", "Cold"
	// or "Archive". Restores from the last have to wait for hours. Empty: the same
	// tier as all others.
	ColdTier string `yaml:"cold_tier"`
	// The scope of the server's own encryption that objects are written under. Empty:
	// the container's default.
	EncryptionScope string `yaml:"encryption_scope"`
	// How objects that are to be kept for a time are made immutable: "unlocked" (who has
	// the right may lift it), "locked" (nobody may) or empty for not at all. The
	// container must have version-level immutability switched on.
	Immutability string `yaml:"immutability"`
	// The account's key. Prefer account_key_file, or the environment.
	AccountKey Secret `yaml:"account_key" env:"MAHAVISHNU_AZURE_ACCOUNT_KEY"`
	// A file that holds the account's key, mode 0640 or stricter.
	AccountKeyFile string `yaml:"account_key_file" env:"MAHAVISHNU_AZURE_ACCOUNT_KEY_FILE"`
	// A shared access signature in place of the account's key.
	SAS Secret `yaml:"sas" env:"MAHAVISHNU_AZURE_SAS"`
	// A file that holds the shared access signature, mode 0640 or stricter.
	SASFile string `yaml:"sas_file" env:"MAHAVISHNU_AZURE_SAS_FILE"`
	// A proxy that requests go through, as "http://host:port", or "direct" for none.
	// Empty: what the environment says (HTTPS_PROXY, NO_PROXY).
	Proxy string `yaml:"proxy"`
	// Certificates that are trusted beside the system's, as a PEM file.
	CAFile string `yaml:"ca_file"`
}

// GCSStorage keeps the repository in a bucket of Google Cloud Storage. Without
// credentials_file the usual chain of Google's tools is asked: the environment
// (GOOGLE_APPLICATION_CREDENTIALS), the command line tool's login, the machine's
// service account.
type GCSStorage struct {
	// Whether the repository is kept in Google Cloud Storage.
	Enabled bool `yaml:"enabled"`
	// The name of the bucket, which must exist.
	Bucket string `yaml:"bucket"`
	// What every object's name starts with, ending in "/". Empty: the whole bucket
	// is ours.
	Prefix string `yaml:"prefix"`
	// The server's URL, for a private endpoint. TLS 1.3 is required unless the
	// server is this machine. Empty: Google's.
	Endpoint string `yaml:"endpoint"`
	// The storage class of new objects: "STANDARD", "NEARLINE", "COLDLINE" or
	// "ARCHIVE". Empty: the bucket's default.
	Class string `yaml:"class"`
	// The class of objects that are hardly ever read, the packs of data. All classes can be
	// read at once; reading the cold ones costs more. Empty: the same as all others.
	ColdClass string `yaml:"cold_class"`
	// The key of the server's key service that objects are encrypted with, beside our
	// encryption. Empty: the bucket's default.
	KMSKey string `yaml:"kms_key"`
	// How objects that are to be kept for a time are locked: "unlocked" (who has the
	// right may lift it), "locked" (nobody may) or empty for not at all. The bucket
	// must have object retention switched on.
	Retention string `yaml:"retention"`
	// A file of credentials in JSON, of a service account or of workload identity, mode
	// 0640 or stricter.
	CredentialsFile string `yaml:"credentials_file" env:"MAHAVISHNU_GCS_CREDENTIALS_FILE"`
	// A proxy that requests go through, as "http://host:port", or "direct" for none.
	// Empty: what the environment says (HTTPS_PROXY, NO_PROXY).
	Proxy string `yaml:"proxy"`
	// Certificates that are trusted beside the system's, as a PEM file.
	CAFile string `yaml:"ca_file"`
}

// DisperseStorage spreads every object over several storages with an erasure
// code: any `data` of them are enough to read all, so `parity` of them may be lost.
type DisperseStorage struct {
	// Whether the repository is spread over several storages.
	Enabled bool `yaml:"enabled"`
	// How many storages are enough to read everything, at least 2. An object takes
	// (data + parity) / data times its size.
	Data int `yaml:"data"`
	// How many storages may be lost at once.
	Parity int `yaml:"parity"`
	// How many storages must have an object before it counts as stored; the rest
	// follows. 0: data and half of parity, rounded up.
	Quorum int `yaml:"quorum"`
	// The storages, data + parity of them, each in a place of its own. Their order is
	// part of what is stored: keep it, also when one moves.
	Storages []DisperseMember `yaml:"storages"`
}

// DisperseMember is one of the storages that objects are spread over. Exactly one
// kind is given.
type DisperseMember struct {
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
