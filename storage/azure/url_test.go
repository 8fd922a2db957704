package azure_test

import (
	"strings"
	"testing"

	"mahavishnu/storage/azure"
	"mahavishnu/storage/storagetest"
)

func urls() storagetest.URLs[azure.Config] {
	return storagetest.URLs[azure.Config]{
		Parse: azure.ParseURL,
		Good: map[string]azure.Config{
			"azblob://backups":                  {Container: "backups"},
			"azblob://backups/":                 {Container: "backups"},
			"azblob://backups/a/b/?account=acc": {Container: "backups", Prefix: "a/b", Account: "acc"},
			"azblob://b-c/x%2Fy":                {Container: "b-c", Prefix: "x/y"},
			"azblob://backups/p?endpoint=https%3A%2F%2Facc.blob.core.usgovcloudapi.net&tier=cool&cold_tier=ARCHIVE&encryption_scope=dr-1&immutability=locked": {
				Container: "backups", Prefix: "p", Endpoint: "https://acc.blob.core.usgovcloudapi.net",
				Tier: "Cool", ColdTier: "Archive", EncryptionScope: "dr-1", Immutability: "locked",
			},
			"azblob://backups?account=acc&ca_file=/etc/ca.pem&proxy=http://proxy:3128&sas_file=/etc/sas": {
				Container: "backups", Account: "acc", CAFile: "/etc/ca.pem", Proxy: "http://proxy:3128", SASFile: "/etc/sas",
			},
			"azblob://backups?account=acc&account_key_file=/etc/key&customer_key_file=/etc/customer": {
				Container: "backups", Account: "acc", AccountKeyFile: "/etc/key", CustomerKeyFile: "/etc/customer",
			},
		},
		Bad: map[string]string{
			"azblob://":                "not the name of a container",
			"azblob://ab":              "not the name of a container",
			"azblob://-backups":        "not the name of a container",
			"azblob://Backups":         "not the name of a container",
			"azblob://back--ups":       "not the name of a container",
			"azblob:backups":           "not the URL of a container",
			"s3://backups":             "not the URL of a container",
			"azblob://backups/a//b":    "prefix cannot be used",
			"azblob://backups/.hidden": "prefix cannot be used",
			"azblob://backups/a%20b":   "prefix cannot be used",
			"azblob://backups/" + strings.Repeat("x/", 255) + "xx":        "prefix cannot be used",
			"azblob://backups?acount=x":                                   `"acount" is not known`,
			"azblob://backups?account=Not_One":                            "not the name of a storage account",
			"azblob://backups?tier=Archive":                               "cannot be read at once",
			"azblob://backups?tier=lukewarm":                              "not a value that is known",
			"azblob://backups?cold_tier=frozen":                           "not a value that is known",
			"azblob://backups?immutability=lokced":                        "not a value that is known",
			"azblob://backups?encryption_scope=a_b":                       "not the name of an encryption scope",
			"azblob://backups?encryption_scope=scope&customer_key_file=k": "at once",
			"azblob://backups?cold_tier=Archive&customer_key_file=k":      "cannot be thawed",
			"azblob://backups?account_key_file=a&sas_file=b":              "several kinds of credentials",
			"azblob://backups?account_key=hunter2":                        "secret into the URL",
			"azblob://backups?sas=hunter2":                                "secret into the URL",
			"azblob://user:hunter2@backups":                               "a user or password",
			"azblob://backups?proxy=http://u:hunter2@p":                   "a user or password in proxy",
			"azblob://backups?endpoint=https://u:hunter2@p":               "a user or password in the endpoint",
			"azblob://backups?endpoint=https%3A%2F%2Fx.y%3Fsig%3Dhunter2": "not the URL of a blob service",
			"azblob://backups?endpoint=ftp://example.com":                 "not the URL of a blob service",
		},
		Near: map[string]string{
			"azblob://backups?cold-tier=Archive":     "did you mean cold_tier?",
			"azblob://backups?acount=x":              "did you mean account?",
			"azblob://backups?immutability=unlocekd": "did you mean unlocked?",
		},
	}
}

func TestParseURL(t *testing.T) { urls().Run(t) }

func FuzzParseURL(f *testing.F) {
	urls().Fuzz(f, func(c azure.Config) string { return c.Prefix }, func(c azure.Config) string { return c.AccountKey + c.SAS + c.ConnectionString + c.CustomerKey })
}
