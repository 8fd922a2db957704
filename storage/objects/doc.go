// Package objects is what the backends of object stores share beside their SDKs:
// an answer's body that arrives whole and unchanged or fails ([Body]), ranges that
// lie inside an object or are refused ([Span]), the names that this process put and that
// are therefore durable ([Stored]), and errors of connections put into words without
// the URL they were for, which may carry a signature ([Network]).
package objects
