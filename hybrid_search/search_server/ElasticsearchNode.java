import java.nio.file.*;
import java.util.*;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.bootstrap.BootstrapInfo;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.*;
import org.elasticsearch.plugins.*;

/** ElasticsearchNode HOME CONF [key=value ...]: one Elasticsearch node in this JVM, real modules from HOME/modules, no launcher, no entitlement agent. */
public class ElasticsearchNode {
    public static void main(String[] a) throws Exception {
        Path conf = Path.of(a[1]);
        LogConfigurator.registerErrorListener();
        LogConfigurator.configureESLogging();
        Map<String, String> over = new HashMap<>();
        for (String kv : List.of(a).subList(3, a.length)) over.put(kv.split("=", 2)[0], kv.split("=", 2)[1]);
        Environment env = InternalSettingsPreparer.prepareEnvironment(
            Settings.builder().put("path.home", a[0]).build(), over, conf, () -> a[2]);
        LogConfigurator.setNodeName(a[2]);
        LogConfigurator.configure(env, true);
        BootstrapInfo.init();
        Set<String> keep = new HashSet<>(Arrays.asList(System.getProperty("es.modules", "").split(",")));
        Set<PluginBundle> bundles = new HashSet<>(bundles(modules(env)));
        if (keep.contains("") == false) bundles.removeIf(b -> keep.contains(b.pluginDescriptor().getName()) == false);
        Node node = new Node(env, PluginsLoader.createPluginsLoader(bundles, Set.of(), Map.of()));
        CountDownLatch latch = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try { node.close(); } catch (Exception e) { e.printStackTrace(); }
            latch.countDown();
        }));
        node.start();
        latch.await();
    }

    /** 8.x: loadModulesBundles(Path); 9.4: loadModulesBundles(Path, boolean); Environment.modulesFile() became modulesDir(). */
    @SuppressWarnings("unchecked")
    static Set<PluginBundle> bundles(Path dir) throws Exception {
        for (var m : PluginsLoader.class.getMethods())
            if (m.getName().equals("loadModulesBundles"))
                return (Set<PluginBundle>) (m.getParameterCount() == 1 ? m.invoke(null, dir) : m.invoke(null, dir, false));
        throw new NoSuchMethodException("loadModulesBundles");
    }

    static Path modules(Environment env) throws Exception {
        for (var m : Environment.class.getMethods())
            if (m.getName().matches("modules(Dir|File)")) return (Path) m.invoke(env);
        throw new NoSuchMethodException("modulesDir");
    }
}
