package wire

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strings"
)

// Dialect is the protocol of one service: how its requests are told apart, and how
// it words its refusals.
type Dialect interface {
	kind(r *http.Request) Kind
	// object returns which object a request is about, as bucket/name; what it is
	// as far as the head of the request tells.
	object(r *http.Request) string
	// code returns the service's own word for a status.
	code(status int) string
	// expired returns the status and the word for credentials that have expired.
	expired() (int, string)
	// say answers with a status and a word.
	say(w http.ResponseWriter, r *http.Request, status int, word string)
}

// The services.
var (
	S3    Dialect = s3{}
	Azure Dialect = azure{}
	GCS   Dialect = gcs{}
)

// byMethod tells most kinds apart.
func byMethod(method string) Kind {
	switch method {
	case http.MethodPut:
		return Put
	case http.MethodGet:
		return Get
	case http.MethodHead:
		return Stat
	case http.MethodDelete:
		return Delete
	}
	return Other
}

type xmlError struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
}

func sayXML(w http.ResponseWriter, r *http.Request, status int, word string) {
	body, err := xml.Marshal(xmlError{Code: word, Message: "The script says " + word + "."})
	if err != nil {
		panic(err) // of strings alone
	}
	say(w, r, status, "application/xml", append([]byte(xml.Header), body...))
}

type s3 struct{}

func (s3) kind(r *http.Request) Kind {
	q := r.URL.Query()
	_, bucketAlone := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/")
	bucketAlone = bucketAlone || !strings.Contains(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case r.Method == http.MethodGet && bucketAlone && (q.Has("list-type") || len(q) == 0 || q.Has("prefix")):
		return List
	case r.Method == http.MethodPost && q.Has("delete"):
		return Delete
	case bucketAlone, q.Has("retention"), q.Has("legal-hold"), q.Has("restore"):
		return Other
	}
	return byMethod(r.Method)
}

func (s3) object(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, "/") }

func (s3) code(status int) string {
	switch status {
	case http.StatusInternalServerError:
		return "InternalError"
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return "SlowDown"
	case http.StatusForbidden:
		return "AccessDenied"
	case http.StatusRequestTimeout:
		return "RequestTimeout"
	}
	return strings.ReplaceAll(http.StatusText(status), " ", "")
}

func (s3) expired() (int, string) { return http.StatusForbidden, "ExpiredToken" }

func (s3) say(w http.ResponseWriter, r *http.Request, status int, word string) {
	sayXML(w, r, status, word)
}

type azure struct{}

func (azure) kind(r *http.Request) Kind {
	q := r.URL.Query()
	switch comp := q.Get("comp"); {
	case comp == "list":
		return List
	case comp == "batch":
		return Delete
	case comp == "block", comp == "blocklist":
		return Put
	case comp != "", q.Get("restype") == "container":
		return Other
	}
	return byMethod(r.Method)
}

// object leaves out the account, which is the first part of the path.
func (azure) object(r *http.Request) string {
	_, object, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return object
}

func (azure) code(status int) string {
	switch status {
	case http.StatusInternalServerError:
		return "InternalError"
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return "ServerBusy"
	case http.StatusForbidden:
		return "AuthorizationPermissionMismatch"
	}
	return strings.ReplaceAll(http.StatusText(status), " ", "")
}

func (azure) expired() (int, string) { return http.StatusForbidden, "AuthenticationFailed" }

func (azure) say(w http.ResponseWriter, r *http.Request, status int, word string) {
	w.Header().Set("X-Ms-Error-Code", word)
	sayXML(w, r, status, word)
}

type gcs struct{}

func (gcs) kind(r *http.Request) Kind {
	path, _ := strings.CutPrefix(r.URL.Path, "/storage/v1")
	switch {
	case strings.HasPrefix(r.URL.Path, "/upload/"), strings.HasPrefix(r.URL.Path, "/resumable/upload/"):
		return Put
	case strings.HasPrefix(r.URL.Path, "/download/"):
		return Get
	case r.Method == http.MethodGet && strings.HasSuffix(path, "/o"):
		return List
	case r.Method == http.MethodGet && strings.Contains(path, "/o/") && path != r.URL.Path && r.URL.Query().Get("alt") != "media":
		return Stat
	case r.Method == http.MethodGet && path != r.URL.Path && !strings.Contains(path, "/o/"):
		return Other
	}
	return byMethod(r.Method)
}

// object finds the name in a path of the JSON interface, in that of an upload, or in a
// plain one. An upload may tell it in its body alone; then it is only the bucket's.
func (gcs) object(r *http.Request) string {
	path := r.URL.Path
	if _, rest, ok := strings.Cut(path, "/b/"); ok {
		bucket, name, _ := strings.Cut(rest, "/o")
		name = strings.TrimPrefix(name, "/")
		if name == "" {
			name = r.URL.Query().Get("name")
		}
		return bucket + "/" + name
	}
	return strings.TrimPrefix(path, "/")
}

func (gcs) code(status int) string {
	switch status {
	case http.StatusInternalServerError, http.StatusServiceUnavailable:
		return "backendError"
	case http.StatusTooManyRequests:
		return "rateLimitExceeded"
	case http.StatusForbidden:
		return "forbidden"
	}
	return strings.ReplaceAll(http.StatusText(status), " ", "")
}

func (gcs) expired() (int, string) { return http.StatusUnauthorized, "authError" }

func (gcs) say(w http.ResponseWriter, r *http.Request, status int, word string) {
	type item struct {
		Domain  string `json:"domain"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}
	message := "The script says " + word + "."
	body, err := json.Marshal(map[string]any{"error": map[string]any{
		"code": status, "message": message, "errors": []item{{Domain: "global", Reason: word, Message: message}},
	}})
	if err != nil {
		panic(err) // of strings and a number alone
	}
	say(w, r, status, "application/json; charset=UTF-8", body)
}
