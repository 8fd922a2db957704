package s3_test

import (
	"strings"
	"testing"

	"mahavishnu/storage/s3"
	"mahavishnu/storage/storagetest"
)

func urls() storagetest.URLs[s3.Config] {
	yes, no := true, false
	return storagetest.URLs[s3.Config]{
		Parse: s3.ParseURL,
		Good: map[string]s3.Config{
			"s3://backups":           {Bucket: "backups"},
			"s3://backups/":          {Bucket: "backups"},
			"s3://backups/a/b/":      {Bucket: "backups", Prefix: "a/b"},
			"s3://b.c-d/x%2Fy":       {Bucket: "b.c-d", Prefix: "x/y"},
			"s3://backups?region=r1": {Bucket: "backups", Region: "r1"},
			"s3://backups/p?endpoint=https%3A%2F%2Fs3.example.com&region=eu-1&path_style=false&class=standard_ia&cold_class=DEEP_ARCHIVE&sse=kms&kms_key=alias/b": {
				Bucket: "backups", Prefix: "p", Endpoint: "https://s3.example.com", Region: "eu-1", PathStyle: &no,
				Class: "STANDARD_IA", ColdClass: "DEEP_ARCHIVE", SSE: "kms", KMSKey: "alias/b",
			},
			"s3://backups?lock=compliance&ca_file=/etc/ca.pem&proxy=http://proxy:3128&path_style=true": {
				Bucket: "backups", Lock: "compliance", CAFile: "/etc/ca.pem", Proxy: "http://proxy:3128", PathStyle: &yes,
			},
			"s3://backups?profile=dr&role=arn:aws:iam::123456789012:role/backup": {
				Bucket: "backups", Profile: "dr", Role: "arn:aws:iam::123456789012:role/backup",
			},
		},
		Bad: map[string]string{
			"s3://":                "not the name of a bucket",
			"s3://ab":              "not the name of a bucket",
			"s3://-backups":        "not the name of a bucket",
			"s3:backups":           "not the URL of a bucket",
			"gs://backups":         "not the URL of a bucket",
			"s3://backups/a//b":    "prefix cannot be used",
			"s3://backups/.hidden": "prefix cannot be used",
			"s3://backups/a%20b":   "prefix cannot be used",
			"s3://backups/" + strings.Repeat("x/", 255) + "xx": "prefix cannot be used",
			"s3://backups?endpont=https://x":                   `"endpont" is not known`,
			"s3://backups?lock=complience":                     "not a value that is known",
			"s3://backups?sse=aes":                             "not a value that is known",
			"s3://backups?class=GLACIER":                       "cannot be read at once",
			"s3://backups?cold_class=a-b":                      "not the name of a storage class",
			"s3://backups?kms_key=k":                           "without encryption by KMS",
			"s3://backups?path_style=yes":                      "neither true nor false",
			"s3://backups?region=eu/west":                      "not the name of a region",
			"s3://backups?role=backup":                         "not the ARN of a role",
			"s3://backups?secret_key=hunter2":                  "secret into the URL",
			"s3://user:hunter2@backups":                        "a user or password",
			"s3://backups?proxy=http://u:hunter2@p":            "a user or password in proxy",
			"s3://backups?endpoint=https://u:hunter2@p":        "a user or password in endpoint",
		},
		Near: map[string]string{
			"s3://backups?cold-class=GLACIER": "did you mean cold_class?",
			"s3://backups?regin=x":            "did you mean region?",
			"s3://backups?lock=governence":    "did you mean governance?",
		},
	}
}

func TestParseURL(t *testing.T) { urls().Run(t) }

func FuzzParseURL(f *testing.F) {
	urls().Fuzz(f, func(c s3.Config) string { return c.Prefix }, func(c s3.Config) string { return c.AccessKey + c.SecretKey + c.SessionToken })
}
