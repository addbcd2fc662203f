/* A call and its answer on their way between the library and a child of the forker: packets of one socket. Both
   sides are made in one build, so that only the texts need a form of their own. */
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { TEXTS = sizeof(((struct call *)0)->texts) / sizeof(char *), PACKET_BYTES = 64 * 1024 };

_Static_assert(offsetof(struct call, folder) == offsetof(struct call, texts[TEXTS - 1]), "texts holds each text");

/* Then come packets with the texts, one after the other, each with its NUL. */
struct head {
  struct call call;
  size_t length;
};

static ssize_t send_packet(int socket, const void *data, size_t length) {
  ssize_t count;
  while ((count = send(socket, data, length, MSG_NOSIGNAL)) < 0 && errno == EINTR)
    ;
  return count;
}

static ssize_t receive_packet(int socket, void *data, size_t size) {
  ssize_t count;
  while ((count = recv(socket, data, size, 0)) < 0 && errno == EINTR)
    ;
  return count;
}

/* 0, or a negative errno: -EPIPE when nobody is there to read it, -EAGAIN when nobody did in time. */
int send_call(int socket, const struct call *call) {
  struct head head = {.call = *call};
  for (int i = 0; i < TEXTS; i++)
    head.length += (call->texts[i] == NULL ? 0 : strlen(call->texts[i])) + 1;
  char *texts = malloc(head.length), *end = texts;
  if (texts == NULL)
    return -ENOMEM;
  for (int i = 0; i < TEXTS; i++)
    end = stpcpy(end, call->texts[i] == NULL ? "" : call->texts[i]) + 1;
  ssize_t count = send_packet(socket, &head, sizeof head);
  for (size_t sent = 0; count >= 0 && sent < head.length; sent += count)
    count = send_packet(socket, texts + sent, head.length - sent < PACKET_BYTES ? head.length - sent : PACKET_BYTES);
  int result = count < 0 ? -errno : 0;
  free(texts);
  return result;
}

/* The texts of the call lie in what is returned, the caller's to free; NULL when the call did not come whole. */
char *receive_call(int socket, struct call *call) {
  struct head head;
  if (receive_packet(socket, &head, sizeof head) != sizeof head)
    return NULL;
  char *texts = malloc(head.length), *text = texts;
  for (size_t got = 0; texts != NULL && got < head.length;) {
    ssize_t count = receive_packet(socket, texts + got, head.length - got);
    if (count <= 0) {
      free(texts);
      return NULL;
    }
    got += count;
  }
  *call = head.call;
  for (int i = 0; texts != NULL && i < TEXTS; i++) {
    call->texts[i] = text;
    text += strlen(text) + 1;
  }
  return texts;
}

/* To a caller that has gone, or has its answer, it is lost. */
void send_answer(int socket, const struct answer *answer) {
  send_packet(socket, answer, sizeof *answer);
}
