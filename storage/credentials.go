package storage

import (
	"mahavishnu/storage/azure"
	"mahavishnu/storage/gcs"
	"mahavishnu/storage/s3"
)

// Credentials are the secrets that open storage, for each kind of it. What is empty is
// left to the standard chain of the kind: environment, files, the machine's own role
// or identity. They never show when printed.
type Credentials struct {
	S3    S3Credentials
	Azure AzureCredentials
	GCS   GCSCredentials
}

// S3Credentials open a bucket of S3. AccessKey and SecretKey go together.
type S3Credentials struct{ AccessKey, SecretKey, SessionToken string }

// AzureCredentials open a container of Azure: at most one of them is given.
type AzureCredentials struct{ AccountKey, SAS, ConnectionString string }

// GCSCredentials open a bucket of Google Cloud Storage.
type GCSCredentials struct {
	// JSON is what a file of credentials holds, of a service account or of workload identity.
	JSON string
}

// String keeps the secrets to itself.
func (Credentials) String() string { return "credentials" }

// GoString keeps the secrets to itself.
func (Credentials) GoString() string { return "storage.Credentials{}" }

// forS3 returns the configuration that a URL stands for, with what it may not hold.
func (k Credentials) forS3(c s3.Config, o OpenOptions) s3.Config {
	c.AccessKey, c.SecretKey, c.SessionToken = k.S3.AccessKey, k.S3.SecretKey, k.S3.SessionToken
	c.Clock, c.Wrap = o.Clock, o.Wrap
	return c
}

func (k Credentials) forAzure(c azure.Config, o OpenOptions) azure.Config {
	c.AccountKey, c.SAS, c.ConnectionString = k.Azure.AccountKey, k.Azure.SAS, k.Azure.ConnectionString
	c.Clock, c.Wrap = o.Clock, o.Wrap
	return c
}

func (k Credentials) forGCS(c gcs.Config, o OpenOptions) gcs.Config {
	c.Credentials = k.GCS.JSON
	c.Clock, c.Wrap = o.Clock, o.Wrap
	return c
}
