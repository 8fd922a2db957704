package app

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mahavishnu/config"
	"mahavishnu/storage"
	"mahavishnu/storage/storagetest/servers"
)

// parsed is a configuration of one region, a, whose storage is the given text.
func parsed(t *testing.T, text string, more ...config.Option) *config.Config {
	t.Helper()
	none := config.Environment(func(string) (string, bool) { return "", false })
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "c.yaml"), []byte("regions: [a, b]\nnode: {region: a, name: n, data_dir: data}\n"+text), append([]config.Option{none}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestEverySettingIsUnderstood opens what the configuration can say: the storage
// packages read the URLs that it renders.
func TestEverySettingIsUnderstood(t *testing.T) {
	t.Parallel()
	s3 := `s3: {enabled: true, bucket: backups, region: eu-west-1, prefix: a/b/, endpoint: "http://127.0.0.1:9", path_style: true, class: STANDARD_IA, ` +
		`cold_class: GLACIER_IR, server_side_encryption: kms, kms_key: k, object_lock: governance, access_key: k, secret_key: s, session_token: t, proxy: direct}`
	azure := `azure_blob: {enabled: true, container: backups, account: acc1, prefix: a, endpoint: "http://127.0.0.1:9/acc1", tier: Cool, cold_tier: Archive, ` +
		`encryption_scope: scope1, immutability: unlocked, account_key: "a2V5", proxy: direct}`
	for name, c := range map[string]struct{ text, location string }{
		"s3":    {s3, "s3://backups/a/b?"},
		"azure": {azure, "azblob://backups/a?"},
		"directory of old": {
			"local: {enabled: true, path: /srv/backups}", "file:///srv/backups",
		},
		"url":    {`url: "s3://backups/x?region=eu-west-1"`, "s3://backups/x?"},
		"spread": {"disperse: {enabled: true, data: 2, parity: 1, quorum: 3, storages: [{" + s3 + "}, {" + azure + "}, {local: {enabled: true, path: /srv/c}}]}", "disperse:2+1 "},
	} {
		cfg := parsed(t, "backup: {storage: {"+c.text+"}}")
		be, err := AccessTo(cfg).Storage.Open(t.Context(), cfg.Place())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.HasPrefix(be.Location(), c.location) {
			t.Errorf("%s: opened %s, want %s", name, be.Location(), c.location)
		}
		if err := be.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestEachStorageGetsItsOwnSecrets opens the own storage and a region's with keys of
// their own, at two servers.
func TestEachStorageGetsItsOwnSecrets(t *testing.T) {
	t.Parallel()
	one, two := servers.S3(t), servers.S3(t, servers.Users())
	two.AddUser("second-user", "second-secret")
	two.SetPolicy(fmt.Sprintf(`{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "second-user"}, "Action": "s3:*", "Resource": ["arn:aws:s3:::%[1]s", "arn:aws:s3:::%[1]s/*"]}]}`, two.Bucket))
	section := func(s *servers.S3Server, key, secret string) string {
		return fmt.Sprintf("s3: {enabled: true, bucket: %s, region: %s, endpoint: %q, access_key: %q, secret_key: %q}", s.Bucket, s.Region, s.Endpoint(), key, secret)
	}
	cfg := parsed(t, "backup:\n  storage: {"+section(one, one.AccessKey, one.SecretKey)+", retries: {attempts: 1}}\n"+
		"  replication: {storages: {b: {"+section(two, "second-user", "second-secret")+"}}}")
	storages := AccessTo(cfg).Storage
	put := func(location string) error {
		be, err := storages.Open(t.Context(), location)
		if err != nil {
			return err
		}
		return errors.Join(be.Put(t.Context(), "config", []byte("x"), storage.PutOptions{}), be.Close())
	}
	b, _ := cfg.RegionPlace("b")
	for _, location := range []string{cfg.Place(), b.URL} {
		if err := put(location); err != nil {
			t.Errorf("%s: %v", location, err)
		}
	}
	// The first one's key opens nothing at the second.
	stolen := parsed(t, "backup: {storage: {"+section(two, one.AccessKey, "not-the-secret")+", retries: {attempts: 1}}}")
	storages = AccessTo(stolen).Storage
	if err := put(stolen.Place()); !errors.Is(err, storage.ErrDenied) {
		t.Errorf("with another's key: %v, want ErrDenied", err)
	}
}

func TestLimitsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	cfg := parsed(t, `backup: {storage: {limits: {upload: 1MB, timezone: Europe/Berlin, windows: [{days: [sunday], from: "22:00", to: "06:30", upload: 2MB, requests: 5}]}}}`)
	o, err := limitsFrom(cfg.Backup.Storage.Limits, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.Up != 1_000_000 || o.Zone.String() != "Europe/Berlin" || len(o.Windows) != 1 {
		t.Fatalf("limits %+v", o)
	}
	w := o.Windows[0]
	if w.From != 22*time.Hour || w.To != 6*time.Hour+30*time.Minute || w.Up != 2_000_000 || w.Requests != 5 || len(w.Days) != 1 || w.Days[0] != time.Sunday {
		t.Errorf("window %+v", w)
	}
}
