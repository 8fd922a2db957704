package gcs_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mahavishnu/fault"
	"mahavishnu/storage/gcs"
)

func parse(t *testing.T, text string) (gcs.Config, error) {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return gcs.ParseURL(u)
}

const kmsKey = "projects/p/locations/eu/keyRings/r/cryptoKeys/k"

func TestParseURL(t *testing.T) {
	for text, want := range map[string]gcs.Config{
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
	} {
		got, err := parse(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	for text, want := range map[string]string{
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
	} {
		_, err := parse(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.70s: %v, want %q", text, err, want)
			continue
		}
		if hints := fault.Hints(err); len(hints) == 0 {
			t.Errorf("%.70s: %v has no hint", text, err)
		}
		if strings.Contains(err.Error()+strings.Join(fault.Hints(err), ""), "hunter2") {
			t.Errorf("%.70s: the error repeats the secret: %v", text, err)
		}
	}
}

func TestNearNamesAreTold(t *testing.T) {
	for text, want := range map[string]string{
		"gs://backups?cold-class=ARCHIVE": "did you mean cold_class?",
		"gs://backups?retension=locked":   "did you mean retention?",
		"gs://backups?class=nearlin":      "did you mean NEARLINE?",
	} {
		_, err := parse(t, text)
		if hints := strings.Join(fault.Hints(err), "\n"); !strings.Contains(hints, want) {
			t.Errorf("%s: hints %q, want %q", text, hints, want)
		}
	}
}

// What is accepted stays below its prefix, has one spelling, opens the same place
// when it is shown and read again, and never holds a secret.
func FuzzParseURL(f *testing.F) {
	f.Add("gs://backups/a/b?endpoint=https%3A%2F%2Fstorage.example.com")
	f.Add("gs://backups?retention=locked&class=coldline")
	f.Add("gs://user:pw@backups?credentials=x")
	f.Add("gs://bcd/%2e%2e/x?proxy=http://u:p@h")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		c, err := gcs.ParseURL(u)
		if err != nil {
			if len(fault.Hints(err)) == 0 {
				t.Fatalf("%q: %v has no hint", text, err)
			}
			return
		}
		if strings.HasPrefix(c.Prefix, "/") || strings.HasSuffix(c.Prefix, "/") || strings.Contains("/"+c.Prefix+"/", "/../") {
			t.Fatalf("%q: prefix %q", text, c.Prefix)
		}
		if u.User != nil || c.Credentials+c.CustomerKey != "" {
			t.Fatalf("%q holds a secret", text)
		}
	})
}
