package gcs_test

import (
	"strings"
	"testing"

	"mahavishnu/storage/gcs"
	"mahavishnu/storage/storagetest"
)

const kmsKey = "projects/p/locations/eu/keyRings/r/cryptoKeys/k"

func urls() storagetest.URLs[gcs.Config] {
	return storagetest.URLs[gcs.Config]{
		Parse: gcs.ParseURL,
		Good: map[string]gcs.Config{
			"gs://backups":       {Bucket: "backups"},
			"gs://backups/":      {Bucket: "backups"},
			"gs://backups/a/b/":  {Bucket: "backups", Prefix: "a/b"},
			"gs://b.c-d_e/x%2Fy": {Bucket: "b.c-d_e", Prefix: "x/y"},
			"gs://backups?class=nearline&cold_class=ARCHIVE&retention=locked": {Bucket: "backups", Class: "NEARLINE", ColdClass: "ARCHIVE", Retention: "locked"},
			"gs://backups/p?endpoint=https%3A%2F%2Fstorage.example.com&ca_file=/etc/ca.pem&proxy=http://proxy:3128&credentials_file=/etc/gcs.json": {
				Bucket: "backups", Prefix: "p", Endpoint: "https://storage.example.com", CAFile: "/etc/ca.pem", Proxy: "http://proxy:3128", CredentialsFile: "/etc/gcs.json",
			},
			"gs://backups?kms_key=" + kmsKey:               {Bucket: "backups", KMSKey: kmsKey},
			"gs://backups?customer_key_file=/etc/customer": {Bucket: "backups", CustomerKeyFile: "/etc/customer"},
		},
		Bad: map[string]string{
			"gs://":                "not the name of a bucket",
			"gs://ab":              "not the name of a bucket",
			"gs://-backups":        "not the name of a bucket",
			"gs://Backups":         "not the name of a bucket",
			"gs:backups":           "not the URL of a bucket",
			"s3://backups":         "not the URL of a bucket",
			"gs://backups/a//b":    "prefix cannot be used",
			"gs://backups/.hidden": "prefix cannot be used",
			"gs://backups/a%20b":   "prefix cannot be used",
			"gs://backups/" + strings.Repeat("x/", 255) + "xx":            "prefix cannot be used",
			"gs://backups?endpont=https://x":                              `"endpont" is not known`,
			"gs://backups?class=GLACIER":                                  "not a value that is known",
			"gs://backups?cold_class=cold":                                "not a value that is known",
			"gs://backups?retention=lokced":                               "not a value that is known",
			"gs://backups?kms_key=key":                                    "not the name of a key",
			"gs://backups?customer_key_file=k&kms_key=" + kmsKey:          "at once",
			"gs://backups?credentials=hunter2":                            "secret into the URL",
			"gs://backups?token=hunter2":                                  "secret into the URL",
			"gs://user:hunter2@backups":                                   "a user or password",
			"gs://backups?proxy=http://u:hunter2@p":                       "a user or password in proxy",
			"gs://backups?endpoint=https://u:hunter2@p":                   "a user or password in the endpoint",
			"gs://backups?endpoint=https%3A%2F%2Fx.y%3Ftoken%3Dhunter2":   "not the URL of a server",
			"gs://backups?endpoint=https%3A%2F%2Fx.y%2Fstorage%2Fhunter2": "not the URL of a server",
			"gs://backups?endpoint=storage.example.com":                   "not the URL of a server",
		},
		Near: map[string]string{
			"gs://backups?cold-class=ARCHIVE": "did you mean cold_class?",
			"gs://backups?retension=locked":   "did you mean retention?",
			"gs://backups?class=nearlin":      "did you mean NEARLINE?",
		},
	}
}

func TestParseURL(t *testing.T) { urls().Run(t) }

func FuzzParseURL(f *testing.F) {
	urls().Fuzz(f, func(c gcs.Config) string { return c.Prefix }, func(c gcs.Config) string { return c.Credentials + c.CustomerKey })
}
