package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const planted = "correct horse battery staple"

// TestASecretIsNeverPrinted renders a configuration in every way there is.
func TestASecretIsNeverPrinted(t *testing.T) {
	c, _ := loadText(t, "nats: {user: worker, password: "+planted+"}")
	if got := c.NATS.Password.Reveal(); got != planted {
		t.Fatalf("Reveal = %q", got)
	}
	var out bytes.Buffer
	for _, o := range []ShowOptions{{}, {JSON: true}} {
		if err := c.Show(&out, o); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(out.String(), masked) != 2 {
		t.Errorf("the secret should show as asterisks, once in each form:\n%s", out.String())
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	secret := c.NATS.Password
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, secret)
		fmt.Fprintf(&out, verb, &secret)
		fmt.Fprintf(&out, verb, c.NATS)
	}
	if strings.Contains(out.String(), planted) || strings.Contains(out.String(), fmt.Sprintf("%x", planted)) {
		t.Errorf("the secret is printed:\n%s", out.String())
	}
}

func TestWhereASecretComesFrom(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(planted+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(text string, env map[string]string) *Config {
		t.Helper()
		c, err := Parse(filepath.Join(dir, "c.yaml"), []byte(text), Environment(func(key string) (string, bool) {
			v, ok := env[key]
			return v, ok
		}))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, c := range map[string]*Config{
		"value":                load("nats: {user: u, password: "+planted+"}", nil),
		"file":                 load("nats: {user: u, password_file: ./password}", nil),
		"environment":          load("nats: {user: u}", map[string]string{"MAHAVISHNU_NATS_PASSWORD": planted}),
		"file of environment":  load("nats: {user: u}", map[string]string{"MAHAVISHNU_NATS_PASSWORD_FILE": "./password"}),
		"empty variable":       load("nats: {user: u, password: "+planted+"}", map[string]string{"MAHAVISHNU_NATS_PASSWORD": ""}),
		"all from environment": load("{}", map[string]string{"MAHAVISHNU_NATS_PASSWORD": planted, "MAHAVISHNU_NATS_USER": "u"}),
	} {
		if got := c.NATS.Password.Reveal(); got != planted {
			t.Errorf("%s: the password is %q", name, got)
		}
	}
	// A password from a file shows as its file, so that what is shown loads again.
	var out bytes.Buffer
	if err := load("nats: {user: u, password_file: ./password}", nil).Show(&out, ShowOptions{}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), masked) || !strings.Contains(out.String(), "password_file: "+file) {
		t.Errorf("shown:\n%s", out.String())
	}
}

func TestLinesAreMasked(t *testing.T) {
	for line, want := range map[string]string{
		`  password: hunter2`:                                      `  password: ********`,
		`  nats: {user: u, password: "a b", url: ""}`:              `  nats: {user: u, password: ********`,
		`  "password" : x # y`:                                     `  "password" : ********`,
		`  password_file: /etc/p`:                                  `  password_file: /etc/p`,
		`  PassWrod: x`:                                            `  PassWrod: ********`,
		`  url: tls://u:p@host`:                                    `  url: tls://********@host`,
		`  url: tls://u:p/q:r@host`:                                `  url: tls://********@host`,
		`  url: s3:/key:hunter2@bucket/x`:                          `  url: s3:/********@bucket/x`,
		`  url: "s3//key:hunter2@bucket"`:                          `  url: "s3//********@bucket"`,
		`  url: "s3:\\key:hunter2@bucket"`:                         `  url: "s3:\\********@bucket"`,
		`  url: "nats://u:hunter2\q@host"`:                         `  url: "nats://********@host"`,
		`  url: "nats://u:hun/ter2@host"`:                          `  url: "nats://********@host"`,
		`  url: disperse:2+1?at=s3:/key%3Ahunter2@x&at=/a:1&at=/b`: `  url: disperse:2+1?at=s3:/********@x&at=/a:1&at=/b`,
		`  url: disperse:2+1?at=s3%3A%2Fkey%3Ahunter2%40x`:         `  url: disperse:2+1?at=s3%3A%2F********@x`,
		`  url: disperse:2+1?at=s3:/key%253Ahunter2@x&at=/a`:       `  url: disperse:2+1?at=s3:/********@x&at=/a`,
		`  url: s3:key:hunter2@bucket/x`:                           `  url: ********@bucket/x`,
		`  url: "key:hunter2@bucket/x"`:                            `  url: "********@bucket/x"`,
		`nats: {url: "u:hunter2@h:4222"}`:                          `nats: {url: "********@h:4222"}`,
		`  url: s3://key:hunter2/x`:                                `  url: s3://key:********/x`,
		`  url: nats://h:42x22:hunter2@h`:                          `  url: nats://********@h`,
		`  url: nats://a:4222,nats://b:4222`:                       `  url: nats://a:4222,nats://b:4222`,
		`  url: s3://bucket/x?endpoint=http://127.0.0.1:9000`:      `  url: s3://bucket/x?endpoint=http://127.0.0.1:9000`,
		`  url: https://[::1]:8443/x`:                              `  url: https://[::1]:8443/x`,
		`  url: disperse:2+1?at=/a:1&at=/b@c`:                      `  url: disperse:2+1?at=/a:1&at=/b@c`,
		`  key_path: /etc/mahavishnu/backup_key`:                   `  key_path: /etc/mahavishnu/backup_key`,
		`  path: /home`:                                            `  path: /home`,
		`  password:`:                                              `  password:`,
	} {
		if got := maskLine(line); got != want {
			t.Errorf("%q is shown as %q, want %q", line, got, want)
		}
	}
	r := newReporter("x", "nats:\n  password: >\n    one\n\n    two\n  user: x")
	for line, want := range map[int]string{3: "    " + masked, 5: "    " + masked, 6: "  user: x"} {
		if got := r.excerpt(line); got != want {
			t.Errorf("line %d is shown as %q, want %q", line, got, want)
		}
	}
}
