package config

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vars is an environment.
func vars(pairs ...string) Option {
	set := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		set[pairs[i]] = pairs[i+1]
	}
	return Environment(func(name string) (string, bool) { v, ok := set[name]; return v, ok })
}

// TestPlaces compares the URL of each kind of storage: what the storage's own
// package reads from it is for app's tests.
func TestPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"s3: {enabled: true, bucket: b, region: eu-west-1, prefix: backups/}": "s3://b/backups/?region=eu-west-1",
		"s3: {enabled: true, bucket: b, path_style: true, endpoint: 'http://127.0.0.1:9000', class: STANDARD_IA, cold_class: GLACIER_IR, server_side_encryption: kms, kms_key: k, object_lock: governance, profile: p, role: r, proxy: direct}": "s3://b?" +
			"class=STANDARD_IA&cold_class=GLACIER_IR&endpoint=http%3A%2F%2F127.0.0.1%3A9000&kms_key=k&lock=governance&path_style=true&profile=p&proxy=direct&role=r&sse=kms",
		"azure_blob: {enabled: true, container: c, prefix: a/b, account: acc, tier: Cool, cold_tier: Archive}": "azblob://c/a/b/?account=acc&cold_tier=Archive&tier=Cool",
		"gcs: {enabled: true, bucket: b, class: NEARLINE}":                                                     "gs://b?class=NEARLINE",
		"url: 's3://b/x?region=eu-west-1'":                                                                     "s3://b/x?region=eu-west-1",
	} {
		c, _ := loadText(t, "backup: {storage: {"+text+"}}")
		plain := strings.NewReplacer("/?", "?")
		if got, want := plain.Replace(c.Place()), plain.Replace(want); got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
		if c.Backup.Storage.Local.Enabled {
			t.Errorf("%s: the directory of the defaults stayed on", text)
		}
	}
}

func TestTheFileOfACustomersKey(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := "backup: {storage: {s3: {enabled: true, bucket: b, server_side_encryption: customer, customer_key_file: key}}}"
	c, err := Parse(filepath.Join(dir, "c.yaml"), []byte(text), none)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(c.Place())
	if err != nil || u.Query().Get("customer_key_file") != filepath.Join(dir, "key") || u.Query().Get("sse") != "customer" {
		t.Errorf("the place is %s, %v: want the file beside the configuration", c.Place(), err)
	}
}

func TestSecretsOfStorage(t *testing.T) {
	const planted = "hunter-planted"
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte(planted+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := `
regions: [eu-west-1, us]
node: {region: eu-west-1}
backup:
  storage: {s3: {enabled: true, bucket: b, access_key: id, secret_key_file: ` + file + `}}
  replication:
    storages:
      us:
        s3: {enabled: true, bucket: b2, access_key_file: ` + file + `}
        replicas: {azure_blob: {enabled: true, container: c, account: a, sas_file: ` + file + `}}
      eu-west-1:
        disperse: {enabled: false, storages: [{s3: {enabled: true, bucket: m, access_key: id, secret_key_file: ` + file + `}}]}
        s3: {enabled: true, bucket: b, secret_key_file: ` + file + `}
`
	c, err := Parse(filepath.Join(dir, "c.yaml"), []byte(text), vars(
		"MAHAVISHNU_S3_SECRET_KEY_US", planted, "MAHAVISHNU_S3_ACCESS_KEY_EU_WEST_1", planted))
	if err != nil {
		t.Fatal(err)
	}
	reveal := func(s Secret) string { return s.Reveal() }
	us, _ := c.RegionPlace("us")
	replica, _ := c.ReplicaPlace("eu-west-1", "us")
	for name, got := range map[string]string{
		"own, by file":                   reveal(c.Backup.Storage.S3.SecretKey),
		"region, by file":                reveal(us.Secrets.AccessKey),
		"region, by variable":            reveal(us.Secrets.SecretKey),
		"own region, by variable":        reveal(c.Own().Secrets.AccessKey),
		"replicas, by file":              reveal(replica.Secrets.SAS),
		"member of a spread one by file": reveal(c.Backup.Replication.Storages["eu-west-1"].Disperse.Storages[0].S3.SecretKey),
	} {
		if got != planted {
			t.Errorf("%s: %q", name, got)
		}
	}
	var shown bytes.Buffer
	for _, o := range []ShowOptions{{}, {JSON: true}} {
		if err := c.Show(&shown, o); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(shown.String(), planted) {
		t.Errorf("a secret is shown:\n%s", shown.String())
	}
	if strings.Contains(us.URL+replica.String()+c.Place(), planted) {
		t.Error("a secret is in a URL")
	}
}

func TestReplicaPlaces(t *testing.T) {
	const head = "regions: [a, b, c]\nnode: {region: a}\nbackup: {directory: ./own, replication: {storages: {"
	for text, want := range map[string]string{
		"b: {s3: {enabled: true, bucket: x, prefix: backups, region: r}}":                   "s3://x/backups/replicas/a/?region=r",
		"b: {url: 's3://x?region=r'}":                                                       "s3://x/replicas/a/?region=r",
		"b: {gcs: {enabled: true, bucket: x}, replicas: {gcs: {enabled: true, bucket: y}}}": "gs://y/a/",
		"b: {gcs: {enabled: true, bucket: x}, replicas: {url: 'file:///srv/copies'}}":       "file:///srv/copies/a",
		"b: {local: {enabled: true, path: /srv/b}}":                                         "file:///srv/b/replicas/a",
		"b: {disperse: {enabled: true, data: 2, parity: 1, quorum: 3, storages: [{url: 'file:///p'}, {url: 's3://q?region=r'}, {url: 'file:///r'}]}}": "disperse:2+1?quorum=3&" +
			"at=file%3A%2F%2F%2Fp%2Freplicas%2Fa&at=s3%3A%2F%2Fq%2Freplicas%2Fa%2F%3Fregion%3Dr&at=file%3A%2F%2F%2Fr%2Freplicas%2Fa",
	} {
		c, _ := loadText(t, head+text+"}}}")
		got, ok := c.ReplicaPlace("a", "b")
		if !ok || got.String() != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", text, got, ok, want)
		}
		if _, ok := c.RegionPlace("c"); ok {
			t.Error("the storage of a region that nobody told of is known")
		}
		if own, _ := c.RegionPlace("a"); own.URL != c.Place() || !strings.HasSuffix(own.URL, "/own") {
			t.Errorf("the own place is %s", own)
		}
	}
}

// TestSecretsGoWhereTheyBelong asks for the secrets of URLs that a person typed.
func TestSecretsGoWhereTheyBelong(t *testing.T) {
	c, _ := loadText(t, `
regions: [a, b]
node: {region: a}
backup:
  storage:
    s3: {enabled: true, bucket: one, endpoint: "https://s3.example.com", access_key: own, secret_key: x}
    azure_blob: {sas: idle}
  replication:
    storages:
      b: {s3: {enabled: true, bucket: two, prefix: deep, endpoint: "https://s3.example.com", access_key: other, secret_key: x}}
`)
	for location, want := range map[string]string{
		"s3://one?endpoint=https%3A%2F%2Fs3.example.com":                 "own",
		"s3://one/elsewhere?endpoint=https%3A%2F%2Fs3.example.com%2F":    "own",
		"s3://two/deep/replicas/a?endpoint=https%3A%2F%2Fs3.example.com": "other",
		"s3://one": "", // Amazon is another server
		"s3://one?endpoint=https%3A%2F%2Fevil.example.com": "",
		"azblob://c?account=a":                             "idle", // no server has been named for it
		"gs://one":                                         "",
		"/mnt/backups":                                     "",
	} {
		got := c.SecretsFor(location)
		if all := got.AccessKey.Reveal() + got.SAS.Reveal(); all != want {
			t.Errorf("%s gets %q, want %q", location, all, want)
		}
	}
}

func TestURLsReadBack(t *testing.T) {
	p := Place{URL: bucketURL("s3", "b", "with space/ü", "endpoint", "https://h:9/?x=1&y=2")}
	u, err := url.Parse(p.in("replicas/r").URL)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "/with space/ü/replicas/r/", "https://h:9/?x=1&y=2"}, []string{u.Host, u.Path, u.Query().Get("endpoint")}); diff != "" {
		t.Error(diff)
	}
}
