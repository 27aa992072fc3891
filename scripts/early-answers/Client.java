import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;

/** Uploads a file with HttpClient, or with HttpURLConnection, and prints the status of the answer. */
public class Client {
    public static void main(String[] args) {
        Path file = Path.of(args[3]);
        try {
            boolean isNew = args[0].equals("client");
            System.out.println(isNew ? client(args[1], args[2], file) : connection(args[1], args[2], file));
        } catch (Exception error) {
            System.out.println("error: " + error);
        }
        System.exit(0);
    }

    private static int client(String url, String key, Path file) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url))
            .header("Authorization", "Bearer " + key)
            .PUT(HttpRequest.BodyPublishers.ofFile(file))
            .build();
        return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
    }

    private static int connection(String url, String key, Path file) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) URI.create(url).toURL().openConnection();
        connection.setRequestMethod("PUT");
        connection.setDoOutput(true);
        connection.setFixedLengthStreamingMode(Files.size(file));
        connection.setRequestProperty("Authorization", "Bearer " + key);
        try (OutputStream body = connection.getOutputStream()) {
            Files.copy(file, body);
        }
        return connection.getResponseCode();
    }
}
