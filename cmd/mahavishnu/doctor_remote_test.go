package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/storage/storagetest/servers"
)

// rightsOf is a policy that lets a user do some things in a bucket, and list only
// below the prefix mine.
const rightsOf = `{"Statement": [
	{"Effect": "Allow", "Principal": {"AWS": "plain-user"}, "Action": [%s], "Resource": ["arn:aws:s3:::backups/mine/*"]},
	{"Effect": "Allow", "Principal": {"AWS": "plain-user"}, "Action": [%s], "Resource": ["arn:aws:s3:::backups"]}
]}`

// remoteSetUp writes a configuration for a bucket, and returns how to run commands
// with it.
func remoteSetUp(t *testing.T, s *servers.S3Server, key, secret, more string) func(args ...string) (int, string) {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf(`
node: {data_dir: %[1]q}
backup:
  encryption: {key_path: %[2]q}
  validation: {verify_on_create: false}
  storage:
    retries: {attempts: 2, first: 10ms, max: 20ms, give_up: 1s}
    s3: {enabled: true, bucket: %[3]s, region: %[4]s, prefix: mine, endpoint: %[5]q, access_key: %[6]q, secret_key: %[7]q%[8]s}
`, filepath.Join(dir, "data"), filepath.Join(dir, "ring"), s.Bucket, s.Region, s.Endpoint(), key, secret, more)
	path := filepath.Join(dir, "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (int, string) {
		var said bytes.Buffer
		code := execute(context.Background(), append(args, "--config", path), strings.NewReader(""), &said, &said)
		return code, said.String()
	}
	if code, said := run("key", "create", "--key", filepath.Join(dir, "ring")); code != exitDone {
		t.Fatal(said)
	}
	return run
}

func TestDoctorTriesWhatCredentialsAllow(t *testing.T) {
	t.Parallel()
	s := servers.S3(t, servers.Users())
	s.AddUser("plain-user", "plain-secret")
	const put, get, remove, list = `"s3:PutObject"`, `"s3:GetObject"`, `"s3:DeleteObject"`, `"s3:ListBucket", "s3:GetBucketLocation"`
	for _, c := range []struct {
		name, objects, bucket string
		want                  []string
		backup                int
	}{
		{"all", put + "," + get + "," + remove, list, []string{"ok    backend", "can be written, read and listed"}, exitDone},
		{"no delete", put + "," + get, list, []string{"note  backend", "do not allow to delete", "s3:DeleteObject"}, exitDone},
		{"no put", get, list, []string{"FAIL  backend", "do not allow to store", "s3:PutObject on arn:aws:s3:::backups/mine/*"}, exitFailed},
		{"no get", put, list, []string{"FAIL  backend", "restores and all checks need it", "s3:GetObject"}, exitFailed},
		{"no list", put + "," + get, `"s3:GetBucketLocation"`, []string{"FAIL  backend", "finding snapshots needs it", `s3:ListBucket on arn:aws:s3:::backups for the prefix "mine/*"`}, exitFailed},
	} {
		s.SetPolicy(fmt.Sprintf(rightsOf, c.objects, c.bucket))
		run := remoteSetUp(t, s, "plain-user", "plain-secret", "")
		_, said := run("doctor")
		for _, want := range c.want {
			if !strings.Contains(said, want) {
				t.Errorf("%s: doctor does not say %q:\n%s", c.name, want, said)
			}
		}
		if strings.Contains(said, "plain-secret") {
			t.Errorf("%s: a secret is shown:\n%s", c.name, said)
		}
	}
}

// TestBackupsNeedNoRightToDelete backs up, restores and verifies with credentials that
// may put, get and list below their own prefix, and nothing else.
func TestBackupsNeedNoRightToDelete(t *testing.T) {
	t.Parallel()
	s := servers.S3(t, servers.Users())
	s.AddUser("plain-user", "plain-secret")
	s.SetPolicy(fmt.Sprintf(rightsOf, `"s3:PutObject", "s3:GetObject"`, `"s3:ListBucket"`))
	run := remoteSetUp(t, s, "plain-user", "plain-secret", "")
	dir := t.TempDir()
	for i := range 2 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("file", i)), bytes.Repeat([]byte{byte(i)}, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, said := run("backup", dir, "--direct"); code != exitDone {
			t.Fatalf("backup %d ended with %d: %s", i, code, said)
		}
	}
	back := filepath.Join(t.TempDir(), "back")
	for _, args := range [][]string{{"restore", "latest", "--target", back}, {"verify", "--read-data", "100"}, {"snapshots"}} {
		if code, said := run(args...); code != exitDone {
			t.Errorf("%v ended with %d: %s", args, code, said)
		}
	}
	got, err := os.ReadFile(filepath.Join(back, "file1"))
	if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{1}, 1000)) {
		t.Errorf("restored %d bytes, %v", len(got), err)
	}
}

func TestDoctorLooksAtLocks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options []servers.S3Option
		want    string
	}{
		"locked":     {[]servers.S3Option{servers.ObjectLock()}, "objects can be kept from being deleted"},
		"not locked": {nil, "FAIL  backend"},
	} {
		s := servers.S3(t, c.options...)
		_, said := remoteSetUp(t, s, s.AccessKey, s.SecretKey, ", object_lock: governance")("doctor")
		if !strings.Contains(said, c.want) {
			t.Errorf("%s: doctor does not say %q:\n%s", name, c.want, said)
		}
	}
}
