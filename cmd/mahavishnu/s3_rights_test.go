package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mahavishnu/loadtest/corpus"
	"mahavishnu/storage"
	"mahavishnu/storage/storagetest/servers"
)

// documented returns the policy of docs/storage-s3.md for backups, word for word, as one of
// the bucket "backups": there the user has to be named.
func documented(t *testing.T, more ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "storage-s3.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```json\n")
	policy, _, closed := strings.Cut(rest, "```")
	if !found || !closed || !strings.Contains(policy, `"Condition": {"StringLike": {"s3:prefix": "site-a/*"}}`) {
		t.Fatal("docs/storage-s3.md shows no policy with a condition on the prefix")
	}
	for _, statement := range more {
		policy = strings.Replace(policy, `"Statement": [`, `"Statement": [`+statement+",", 1)
	}
	return strings.ReplaceAll(policy, `"Effect": "Allow",`, `"Effect": "Allow", "Principal": {"AWS": ["backup"]},`)
}

// tidy lets a backup delete what it made for its own use, and look whether versions are kept.
var tidy = []string{
	`{"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::backups/site-a/gc/*"}`,
	`{"Effect": "Allow", "Action": "s3:GetBucketVersioning", "Resource": "arn:aws:s3:::backups"}`,
}

// Credentials that may put and get below a prefix, list, and delete nothing but what
// a backup makes for its own use, are enough to back up, verify and restore; they list nothing beyond the
// prefix, which the server sees to by the documented condition. What they may not do
// ends with the right that is missing, and nothing ever shows the secret.
func TestBackupWithFewRights(t *testing.T) {
	s := servers.S3(t, servers.Users())
	const user, secret = "backup", "planted-secret-of-the-user"
	s.AddUser(user, secret)
	fewRights := documented(t, tidy...)
	s.SetPolicy(fewRights)
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_ACCESS_KEY_ID", user)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	tree, restored := filepath.Join(dir, "tree"), filepath.Join(dir, "restored")
	if _, err := corpus.Write(t.Context(), tree, corpus.Spec{Kind: corpus.Files, Files: 40, FileSize: 20_000}); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) string {
		t.Helper()
		var out, errs strings.Builder
		args = append(args, "--key", filepath.Join(dir, "key"), "--repository", s.URL("site-a"), "--cache-dir", filepath.Join(dir, "cache"))
		got := execute(t.Context(), args, strings.NewReader(""), &out, &errs)
		text := out.String() + errs.String()
		if got != want {
			t.Errorf("%s: exit code %d, want %d\n%s", strings.Join(args[:2], " "), got, want, text)
		}
		if strings.Contains(text, secret) {
			t.Errorf("%s shows the secret", strings.Join(args[:2], " "))
		}
		return text
	}
	run(0, "key", "create")
	for round := range 3 {
		if err := os.WriteFile(filepath.Join(tree, "new"), fmt.Appendf(nil, "round %d", round), 0o600); err != nil {
			t.Fatal(err)
		}
		run(0, "backup", tree, "--direct")
	}
	run(0, "verify", "--read-data", "100")
	run(0, "restore", "latest", "--target", restored)
	if _, differ, err := corpus.Compare(t.Context(), tree, restored); err != nil || len(differ) > 0 {
		t.Errorf("restored: %q, %v", differ, err)
	}
	run(0, "snapshots", "pin", "latest", "--reason", "a test")
	if text := run(1, "snapshots", "unpin", "latest"); !strings.Contains(text, "s3:DeleteObject") {
		t.Errorf("unpin without the right to delete does not say which is missing:\n%s", text)
	}
	run(0, "verify")
	// The condition is what the server goes by: neighbours, the whole bucket and what merely
	// begins alike are not to be listed.
	for _, beyond := range []string{"site-b", "", "site", "site-aa"} {
		be, err := storage.Open(t.Context(), s.URL(beyond))
		if err != nil {
			t.Fatal(err)
		}
		err = be.List(t.Context(), "", func(storage.Info) error { return nil })
		if !errors.Is(err, storage.ErrDenied) {
			t.Errorf("listing %q: %v, want it denied", beyond, err)
		}
		if err := be.Close(); err != nil {
			t.Error(err)
		}
	}

	// Without any right to delete the same work; what sessions leave is cleared by prune.
	s.SetPolicy(documented(t))
	run(0, "backup", tree, "--direct")
	// Reading alone is enough to restore.
	s.SetPolicy(strings.Replace(fewRights, `"s3:PutObject", `, "", 1))
	run(0, "snapshots")
	run(0, "restore", "latest", "--target", restored+"-again")
	if text := run(1, "backup", tree, "--direct"); !strings.Contains(text, "s3:PutObject") {
		t.Errorf("a backup without the right to put does not say which is missing:\n%s", text)
	}
}
