package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretsThatCanBeDoneWithout has secrets of storages that objects are spread over
// missing: as many storages as may be lost are told of and left to whoever opens them,
// more are errors, each named.
func TestSecretsThatCanBeDoneWithout(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "there"), []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	parse := func(one, two, three string) (*Config, error) {
		text := `
sources: {home: {path: /srv/home}}
backup:
  storage:
    disperse:
      enabled: true
      data: 2
      parity: 1
      storages:
        - {s3: {enabled: true, bucket: one, region: eu, access_key: a, secret_key_file: ` + one + `}}
        - {s3: {enabled: true, bucket: two, region: eu, access_key: b, secret_key_file: ` + two + `}}
        - {azure_blob: {enabled: true, container: three, account: c, account_key_file: ` + three + `}}
`
		return Parse(filepath.Join(dir, "c.yaml"), []byte(text), none)
	}
	c, err := parse("there", "gone", "there")
	if err != nil {
		t.Fatal(err)
	}
	secrets := c.SecretsFor("s3://two?region=eu")
	if err := secrets.SecretKey.Missing(); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "gone")+" does not exist") {
		t.Errorf("missing: %v", err)
	}
	if other := c.SecretsFor("s3://one?region=eu").SecretKey; other.Missing() != nil || other.Reveal() != "secret" {
		t.Errorf("the other one is missing: %v", other.Missing())
	}
	told := ""
	for _, n := range c.Notices() {
		told += n.String() + "\n"
	}
	if !strings.Contains(told, "backup.storage.disperse.storages[1].s3.secret_key_file: ") || strings.Contains(told, "storages[0]") {
		t.Errorf("told: %s", told)
	}
	_, err = parse("there", "gone", "gone too")
	if err == nil || !strings.Contains(err.Error(), "storages[1].s3.secret_key_file") || !strings.Contains(err.Error(), "storages[2].azure_blob.account_key_file") {
		t.Errorf("with two of three: %v", err)
	}
	if _, err := Parse(filepath.Join(dir, "c.yaml"), []byte("backup: {storage: {s3: {enabled: true, bucket: b, access_key: a, secret_key_file: gone}}}"), none); err == nil {
		t.Error("the secret of the only storage is done without")
	}
}
