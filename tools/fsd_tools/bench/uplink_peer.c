/* The peer of `fsdctl bench uplink`: libmosquitto, one thread, the same messages with the same window over the same TLS.
 *
 * Usage: uplink_peer HOST PORT CA CERT KEY CLIENT TOPIC WINDOW COUNT BYTES
 * Prints {"seconds": S, "cpu_s": C}, from the first publish to the last PUBACK. It reads, hashes and decides nothing:
 * the payload is one block of memory, sent COUNT times. */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
    const char *topic;
    char *payload;
    int window, count, bytes, sent, taken, failed;
    double began, began_cpu, took, took_cpu;
} run;

static double now(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void send_next(struct mosquitto *client) {
    char topic[512];
    long offset = (long)run.sent * run.bytes;
    snprintf(topic, sizeof topic, "%s/%ld/%064d", run.topic, offset, 0);
    run.sent++;
    int failed = mosquitto_publish_v5(client, NULL, topic, run.bytes, run.payload, 1, false, NULL);
    if (failed) {
        fprintf(stderr, "publish: %s\n", mosquitto_strerror(failed));
        run.failed = 1;
    }
}

static void on_connect(struct mosquitto *client, void *unused, int reason) {
    (void)unused;
    if (reason) {
        fprintf(stderr, "the broker refused the connection: %s\n", mosquitto_reason_string(reason));
        run.failed = 1;
        return;
    }
    run.began = now(CLOCK_MONOTONIC);
    run.began_cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    while (run.sent < run.window && run.sent < run.count) send_next(client);
}

static void on_publish(struct mosquitto *client, void *unused, int mid, int reason, const mosquitto_property *more) {
    (void)unused, (void)mid, (void)more;
    if (reason >= 0x80) {
        fprintf(stderr, "the broker refused a publish: %s\n", mosquitto_reason_string(reason));
        run.failed = 1;
    }
    if (++run.taken == run.count) {
        run.took = now(CLOCK_MONOTONIC) - run.began;
        run.took_cpu = now(CLOCK_PROCESS_CPUTIME_ID) - run.began_cpu;
    } else if (run.sent < run.count) {
        send_next(client);
    }
}

int main(int argc, char **argv) {
    if (argc != 11) {
        fprintf(stderr, "usage: uplink_peer HOST PORT CA CERT KEY CLIENT TOPIC WINDOW COUNT BYTES\n");
        return 2;
    }
    run.topic = argv[7];
    run.window = atoi(argv[8]);
    run.count = atoi(argv[9]);
    run.bytes = atoi(argv[10]);
    run.payload = malloc((size_t)run.bytes);
    if (!run.payload) return 1;
    memset(run.payload, 0x5a, (size_t)run.bytes);
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new(argv[6], true, NULL);
    if (!client) return 1;
    mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_max_inflight_messages_set(client, (unsigned)run.window);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_publish_v5_callback_set(client, on_publish);
    int failed = mosquitto_tls_set(client, argv[3], NULL, argv[4], argv[5], NULL);
    if (!failed) failed = mosquitto_tls_opts_set(client, 1, "tlsv1.3", NULL);
    /* The certificate names the broker, not the address that is dialled: the chain alone is checked. */
    if (!failed) failed = mosquitto_tls_insecure_set(client, true);
    if (!failed) failed = mosquitto_connect(client, argv[1], atoi(argv[2]), 10);
    while (!failed && !run.failed && run.taken < run.count) failed = mosquitto_loop(client, 1000, 1);
    if (failed) fprintf(stderr, "%s\n", mosquitto_strerror(failed));
    if (failed || run.failed) return 1;
    printf("{\"seconds\": %.6f, \"cpu_s\": %.6f}\n", run.took, run.took_cpu);
    mosquitto_disconnect(client);
    mosquitto_destroy(client);
    return 0;
}
